#include "report/render/segments.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace vramtrack::render {
namespace {

// Blocks whose distance is larger than this belong to different reservations of address space.
constexpr Bytes same_reservation = 32u << 20;
constexpr std::uint64_t segment_alignment = 2u << 20;

/// Arrays have handles; so has memory of the driver's virtual memory management, but mostly it is known where it is
/// mapped.
bool has_address(const AllocationReport& allocation) {
  return allocation.kind == "vmm" ? allocation.mapped_at != 0 : allocation.kind != "array";
}

struct DeviceBlocks {
  std::vector<Segment> segments;
  std::vector<SegmentBlock> tensors;   // live tensor blocks; after place(): those in no known segment
  std::vector<SegmentBlock> unlisted;  // live, address unknown
  Bytes loose_bytes = 0;               // CUDA memory of the allocator whose address is unknown
  bool has_tensors = false;
};

class Rebuild {
 public:
  explicit Rebuild(const Report& report) : report_(report) {
    for (const SiteReport& site : report.sites) {
      sites_[site.id] = &site;
      unlisted_[site.id] = {site.live_bytes, site.live_count};
      if (site.layer == "tensor") devices_[site.device].has_tensors = true;
    }
  }

  std::vector<Segment> run();

 private:
  const SiteReport* site(SiteId id) const {
    const auto at = sites_.find(id);
    return at == sites_.end() ? nullptr : at->second;
  }
  bool belongs(const DeviceBlocks& device, const SiteReport* owner) const {
    return !device.has_tensors || (owner != nullptr && owner->owner == "torch");
  }
  void take(const AllocationReport& allocation);
  void take_rest(const SiteReport& site, Bytes bytes);
  void place(DeviceBlocks& device);
  void place_loose(int index, DeviceBlocks& device);

  const Report& report_;
  std::unordered_map<SiteId, const SiteReport*> sites_;
  std::unordered_map<SiteId, std::pair<Bytes, std::uint64_t>> unlisted_;
  std::map<int, DeviceBlocks> devices_;
};

void Rebuild::take(const AllocationReport& allocation) {
  if (auto rest = unlisted_.find(allocation.site); rest != unlisted_.end()) {
    rest->second.first -= std::min(rest->second.first, allocation.bytes);
  }
  if (allocation.device < 0) return;
  DeviceBlocks& device = devices_[allocation.device];
  const SiteReport* owner = site(allocation.site);
  const SegmentBlock block{place_of(allocation), allocation.bytes, true, owner, &allocation};
  if (allocation.layer == "tensor") {
    device.tensors.push_back(block);
    return;
  }
  if (!belongs(device, owner)) return;
  if (!has_address(allocation)) {
    if (device.has_tensors) {
      device.loose_bytes += allocation.bytes;
    } else {
      device.unlisted.push_back(block);
    }
    return;
  }
  Segment segment{allocation.device,
                  place_of(allocation),
                  allocation.bytes,
                  allocation.stream,
                  allocation.time,
                  allocation.mapped_at != 0,
                  allocation.bytes,
                  owner,
                  {}};
  if (!device.has_tensors) segment.blocks.push_back(block);
  device.segments.push_back(std::move(segment));
}

void Rebuild::take_rest(const SiteReport& owner, Bytes bytes) {
  if (bytes == 0 || owner.device < 0) return;
  DeviceBlocks& device = devices_[owner.device];
  if (owner.layer == "tensor" || !device.has_tensors) {
    device.unlisted.push_back({0, bytes, true, &owner, nullptr});
  } else if (belongs(device, &owner)) {
    device.loose_bytes += bytes;
  }
}

/// Puts the blocks into a segment and fills what lies between them.
void fill(Segment& segment, const std::vector<SegmentBlock>& blocks) {
  std::uint64_t cursor = segment.address;
  for (const SegmentBlock& block : blocks) {
    if (block.address > cursor) segment.blocks.push_back({cursor, block.address - cursor, false, nullptr, nullptr});
    cursor = block.address + block.bytes;
    segment.blocks.push_back(block);
  }
  const std::uint64_t end = segment.address + segment.bytes;
  if (end > cursor) segment.blocks.push_back({cursor, end - cursor, false, nullptr, nullptr});
}

/// Pieces that are mapped side by side are one expandable segment of the allocator, with one free list.
void join_pieces(std::vector<Segment>& segments) {
  std::vector<Segment> joined;
  for (Segment& segment : segments) {
    Segment* last = joined.empty() ? nullptr : &joined.back();
    if (last != nullptr && last->expandable && segment.expandable && last->address + last->bytes == segment.address) {
      last->bytes += segment.bytes;
      last->piece_bytes = std::max(last->piece_bytes, segment.bytes);
      last->time = std::min(last->time, segment.time);
    } else {
      joined.push_back(std::move(segment));
    }
  }
  segments = std::move(joined);
}

void Rebuild::place(DeviceBlocks& device) {
  const auto by_address = [](const auto& a, const auto& b) { return a.address < b.address; };
  std::sort(device.segments.begin(), device.segments.end(), by_address);
  if (device.has_tensors) join_pieces(device.segments);
  std::sort(device.tensors.begin(), device.tensors.end(), by_address);
  std::vector<SegmentBlock> loose, inside;
  auto tensor = device.tensors.begin();
  for (Segment& segment : device.segments) {
    if (!segment.blocks.empty()) continue;
    inside.clear();
    std::uint64_t cursor = segment.address;
    const std::uint64_t end = segment.address + segment.bytes;
    for (; tensor != device.tensors.end() && tensor->address < end; ++tensor) {
      if (tensor->address >= cursor && tensor->address + tensor->bytes <= end) {
        inside.push_back(*tensor);
        cursor = tensor->address + tensor->bytes;
      } else {
        loose.push_back(*tensor);
      }
    }
    fill(segment, inside);
  }
  loose.insert(loose.end(), tensor, device.tensors.end());
  device.tensors = std::move(loose);
}

/// Blocks in no known segment: those whose memory is known by its handle only (arrays; reports of older versions, in
/// which expandable segments were), and blocks that the report does not list. The allocator's remaining bytes are
/// spread over the gaps between them.
void Rebuild::place_loose(int index, DeviceBlocks& device) {
  const std::vector<SegmentBlock>& loose = device.tensors;  // place() has left them
  Bytes used = 0;
  for (const SegmentBlock& block : loose) used += block.bytes;
  for (const SegmentBlock& block : device.unlisted) used += block.bytes;
  Bytes slack = device.loose_bytes > used ? device.loose_bytes - used : 0;
  std::vector<Segment> made;
  std::uint64_t next_free = segment_alignment;
  for (const Segment& segment : device.segments) next_free = std::max(next_free, segment.address + segment.bytes);
  const auto open = [&](std::uint64_t address) {
    Segment segment;
    segment.device = index;
    segment.address = address;
    segment.expandable = true;
    made.push_back(segment);
  };
  const auto append = [&](SegmentBlock block) {
    Segment& segment = made.back();
    block.address = segment.address + segment.bytes;
    segment.bytes += block.bytes;
    if (block.allocation != nullptr) segment.stream = block.allocation->stream;
    segment.blocks.push_back(block);
    next_free = std::max(next_free, segment.address + segment.bytes);
  };
  for (const SegmentBlock& block : loose) {
    const std::uint64_t end = made.empty() ? 0 : made.back().address + made.back().bytes;
    const Bytes gap = block.address >= end ? block.address - end : 0;
    if (made.empty() || block.address < end || gap > same_reservation || gap > slack) {
      open(block.address);
    } else if (gap > 0) {
      append({0, gap, false, nullptr, nullptr});
      slack -= gap;
    }
    append(block);
  }
  if (!device.unlisted.empty() || (slack > 0 && made.empty())) {
    open((next_free + segment_alignment - 1) / segment_alignment * segment_alignment);
    for (const SegmentBlock& block : device.unlisted) append(block);
  }
  if (slack > 0) append({0, slack, false, nullptr, nullptr});
  device.segments.insert(device.segments.end(), made.begin(), made.end());
}

std::vector<Segment> Rebuild::run() {
  for (const AllocationReport& allocation : report_.allocations) take(allocation);
  for (const SiteReport& owner : report_.sites) take_rest(owner, unlisted_[owner.id].first);
  std::vector<Segment> all;
  for (auto& [index, device] : devices_) {
    place(device);
    place_loose(index, device);
    for (Segment& segment : device.segments) all.push_back(std::move(segment));
  }
  std::stable_sort(all.begin(), all.end(), [](const Segment& a, const Segment& b) {
    return std::pair(a.device, a.address) < std::pair(b.device, b.address);
  });
  return all;
}

}  // namespace

std::vector<Segment> rebuild_segments(const Report& report) { return Rebuild(report).run(); }

}  // namespace vramtrack::render
