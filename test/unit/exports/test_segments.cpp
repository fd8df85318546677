// Segments rebuilt from live blocks: sums are the report's, blocks are gapless, nothing overlaps.
#include <catch2/catch.hpp>
#include <random>

#include "report/render/segments.hpp"
#include "test/unit/exports/sample_report.hpp"

using namespace vramtrack;
using namespace vramtrack::render;
using namespace vramtrack::test;

namespace {

struct Sums {
  Bytes reserved = 0, live = 0;
};

Sums check_and_sum(const std::vector<Segment>& segments) {
  Sums sums;
  std::uint64_t last_end = 0;
  for (const Segment& segment : segments) {
    CHECK(segment.address >= last_end);
    std::uint64_t cursor = segment.address;
    for (const SegmentBlock& block : segment.blocks) {
      CHECK(block.address == cursor);
      CHECK(block.bytes > 0);
      cursor += block.bytes;
      if (block.live) sums.live += block.bytes;
    }
    CHECK(cursor == segment.address + segment.bytes);
    last_end = cursor;
    sums.reserved += segment.bytes;
  }
  return sums;
}

}  // namespace

TEST_CASE("segments: tensors lie in PyTorch's memory, other libraries' memory is left out") {
  const auto segments = rebuild_segments(sample_report());
  REQUIRE(segments.size() == 1);
  const Sums sums = check_and_sum(segments);
  CHECK(sums.reserved == 20 * MiB);
  CHECK(sums.live == 8 * MiB + 512);
  CHECK(segments[0].blocks.size() == 6);  // gap, block, gap, block, block, gap
}

TEST_CASE("segments: unlisted blocks appear as one block per site") {
  Report report = sample_report();
  report.allocations.resize(1);  // the segment only
  const Sums sums = check_and_sum(rebuild_segments(report));
  CHECK(sums.live == 8 * MiB + 512);
  CHECK(sums.reserved == 20 * MiB + sums.live);  // they may not be where the listed segment is
  report.allocations.clear();
  const Sums none = check_and_sum(rebuild_segments(report));
  CHECK(none.live == 8 * MiB + 512);
  CHECK(none.reserved == 20 * MiB);
}

TEST_CASE("segments: expandable memory is known by handle only") {
  Report report = sample_report();
  report.sites[0].kind = report.allocations[0].kind = "vmm";
  report.allocations[0].address = 17;  // a handle
  const auto segments = rebuild_segments(report);
  const Sums sums = check_and_sum(segments);
  CHECK(sums.reserved == 20 * MiB);
  CHECK(sums.live == 8 * MiB + 512);
  CHECK(segments[0].expandable);
  CHECK(segments[0].address == segment_address + MiB);  // where the first tensor is
}

TEST_CASE("segments: expandable memory lies where it is mapped, pieces side by side are one segment") {
  Report report = sample_report();
  report.sites[0].kind = "vmm";
  report.allocations[0].kind = "vmm";
  report.allocations[0].address = 17;
  report.allocations[0].mapped_at = segment_address;
  AllocationReport next = report.allocations[0];
  next.address = 3;  // handles are in no order
  next.mapped_at = segment_address + 20 * MiB;
  AllocationReport apart = next;
  apart.address = 4;
  apart.mapped_at = segment_address + 100 * MiB;
  apart.bytes = 2 * MiB;
  report.allocations.push_back(next);
  report.allocations.push_back(apart);
  report.sites[0].live_bytes = 42 * MiB;
  const auto segments = rebuild_segments(report);
  const Sums sums = check_and_sum(segments);
  CHECK(sums.reserved == 42 * MiB);
  CHECK(sums.live == 8 * MiB + 512);
  REQUIRE(segments.size() == 2);
  CHECK(segments[0].address == segment_address);
  CHECK(segments[0].bytes == 40 * MiB);
  CHECK(segments[0].piece_bytes == 20 * MiB);
  CHECK(segments[0].expandable);
  CHECK(segments[1].address == segment_address + 100 * MiB);
  CHECK(segments[1].blocks.size() == 1);
}

TEST_CASE("segments: without tensors every block of CUDA memory is live") {
  Report report = sample_report();
  std::erase_if(report.sites, [](const SiteReport& site) { return site.layer == "tensor"; });
  std::erase_if(report.allocations, [](const AllocationReport& a) { return a.layer == "tensor"; });
  const Sums sums = check_and_sum(rebuild_segments(report));
  CHECK(sums.reserved == 23 * MiB);
  CHECK(sums.live == 23 * MiB);
}

TEST_CASE("segments: sums hold for random layouts") {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    Report report = sample_report();
    report.allocations.clear();
    Bytes reserved = 0, live = 0;
    const bool handles = round % 3 == 0;
    report.sites[0].kind = handles ? "vmm" : "device";
    std::uint64_t address = segment_address;
    for (unsigned i = 0; i < 1 + random() % 6; ++i) {
      const Bytes size = (1 + random() % 20) * MiB;
      AllocationReport segment = make_allocation(address, size, report.sites[0]);
      if (handles) segment.address = i + 1;
      report.allocations.push_back(segment);
      reserved += size;
      for (std::uint64_t at = address; at < address + size;) {
        const Bytes bytes = std::min<Bytes>((1 + random() % 4000) * 512, address + size - at);
        if (random() % 2 == 0) {
          report.allocations.push_back(make_allocation(at, bytes, report.sites[1]));
          live += bytes;
        }
        at += bytes;
      }
      address += size + (random() % 100) * MiB;
    }
    report.sites.resize(2);
    report.sites[0].live_bytes = reserved;
    report.sites[1].live_bytes = live;
    std::shuffle(report.allocations.begin(), report.allocations.end(), random);
    const Sums sums = check_and_sum(rebuild_segments(report));
    CHECK(sums.reserved == reserved);
    CHECK(sums.live == live);
  }
}
