// The ledger of a device: what is cached, and the largest piece of it.
#include "report/analysis/device_ledger.hpp"

#include <catch2/catch.hpp>

using namespace vramtrack;
using trace::Kind, trace::Layer;

namespace {

constexpr Bytes mib = 1 << 20;
constexpr std::uint64_t start = 0x7000'0000'0000;
const std::vector<std::string> owners = {"torch", "nccl"};

LedgerBlock piece(std::uint64_t handle, std::uint64_t mapped_at, Bytes bytes = 20 * mib) {
  return {Layer::cuda, Kind::vmm, 0, handle, bytes, mapped_at, 0};
}
LedgerBlock tensor(std::uint64_t address, Bytes bytes) { return {Layer::tensor, Kind::block, 0, address, bytes, 0, 0}; }
LedgerEntry entry(const std::vector<LedgerBlock>& blocks, const Json& info = nullptr) {
  const std::vector<LedgerEntry> ledger = device_ledger(blocks, owners, {}, info);
  REQUIRE(ledger.size() == 1);
  return ledger[0];
}

}  // namespace

TEST_CASE("the pieces of an expandable segment that are mapped side by side make one hole") {
  // Handles are small numbers in no order; addresses decide. A block lies across two pieces.
  const std::vector<LedgerBlock> blocks = {piece(7, start), piece(3, start + 40 * mib), piece(5, start + 20 * mib),
                                           tensor(start + 10 * mib, 15 * mib)};
  CHECK(entry(blocks).cached_bytes == 45 * mib);
  CHECK(entry(blocks).largest_free_cached_block_bytes == 35 * mib);
}

TEST_CASE("a gap in the mapping ends a hole, and what is mapped nowhere has none") {
  CHECK(entry({piece(1, start), piece(2, start + 40 * mib)}).largest_free_cached_block_bytes == 20 * mib);
  CHECK(entry({piece(1, 0), piece(2, 0)}).largest_free_cached_block_bytes == 0);
  CHECK(entry({piece(1, 0)}).cached_bytes == 20 * mib);
}

TEST_CASE("managed memory is no part of the sum: it may be larger than the device") {
  const std::vector<LedgerBlock> blocks = {{Layer::cuda, Kind::managed, 0, start, 900 * mib, 0, 1},
                                           {Layer::cuda, Kind::device, 0, start + 1000 * mib, 20 * mib, 0, 1}};
  const Json info = Json::array({Json{{"device", 0}, {"free_bytes", 70 * mib}, {"total_bytes", 100 * mib}}});
  const LedgerEntry ledger = entry(blocks, info);
  CHECK(ledger.managed_bytes == 900 * mib);
  REQUIRE(ledger.owners.size() == 1);
  CHECK(ledger.owners[0].bytes == 20 * mib);
  CHECK(ledger.context_and_other_bytes == 10 * mib);
}

TEST_CASE("segments of cudaMalloc side by side are two") {
  const std::vector<LedgerBlock> blocks = {{Layer::cuda, Kind::device, 0, start, 20 * mib, 0, 0},
                                           {Layer::cuda, Kind::device, 0, start + 20 * mib, 20 * mib, 0, 0}};
  CHECK(entry(blocks).largest_free_cached_block_bytes == 20 * mib);
}

TEST_CASE("what the driver's pool keeps for PyTorch is cached, and in no place that is known") {
  const std::vector<LedgerBlock> blocks = {{Layer::cuda, Kind::pool, 0, start, 12 * mib, 0, 0},
                                           tensor(start, 12 * mib),
                                           {Layer::cuda, Kind::device, 0, start + 100 * mib, 4 * mib, 0, 1}};
  const Json pool = {{"reserved_bytes", 64 * mib}, {"used_bytes", 12 * mib}};
  const Json info =
      Json::array({Json{{"device", 0}, {"free_bytes", 1000 * mib}, {"total_bytes", 1100 * mib}, {"torch_pool", pool}}});
  const LedgerEntry ledger = entry(blocks, info);
  CHECK(ledger.cached_bytes == 52 * mib);
  CHECK(ledger.largest_free_cached_block_bytes == 0);  // where in the pool is the driver's secret
  CHECK(ledger.driver_used_bytes == 100 * mib);
  // The sum adds up: tensors + cached + nccl + the rest.
  CHECK(ledger.context_and_other_bytes == (100 - 12 - 52 - 4) * mib);
  CHECK(entry(blocks).cached_bytes == 0);
}
