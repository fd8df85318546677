#include "report/analysis/fragmentation.hpp"

#include <algorithm>
#include <functional>
#include <map>

namespace vramtrack {
namespace {

using trace::Kind;
using trace::Layer;

constexpr std::size_t most_segments = 200, most_pins = 8;

Bytes free_in(const PinnedSegment& segment) { return segment.bytes - segment.live_bytes; }

struct Piece {
  std::uint64_t address = 0;
  Bytes bytes = 0;
  bool expandable = false;
};

/// The memory of one device: what the allocator obtained, and what it handed out of that, by address.
struct DeviceMemory {
  std::vector<Piece> pieces;
  std::vector<const trace::Block*> blocks;
};

std::map<int, DeviceMemory> memory_of(const trace::TraceFile& trace,
                                      const std::vector<std::vector<const trace::Block*>>& blocks,
                                      const std::vector<std::string>& owners) {
  std::map<int, DeviceMemory> devices;
  for (std::size_t i = 0; i < trace.sites.size(); ++i) {
    const trace::Site& site = trace.sites[i];
    if (site.used != 1 || site.device < 0) continue;
    const auto kind = static_cast<Kind>(site.kind);
    DeviceMemory& device = devices[site.device];
    for (const trace::Block* block : blocks[i]) {
      if (site.layer == static_cast<std::uint8_t>(Layer::tensor)) {
        device.blocks.push_back(block);
      } else if (owners[i] == "torch" && kind == Kind::device) {
        device.pieces.push_back({block->address, block->bytes, false});
      } else if (owners[i] == "torch" && kind == Kind::vmm && block->stream != 0) {
        // An expandable segment grows and shrinks by pieces: each is given back by itself.
        device.pieces.push_back({block->stream, block->bytes, true});
      }
    }
  }
  for (auto& [index, device] : devices) {
    std::ranges::sort(device.pieces, {}, &Piece::address);
    std::ranges::sort(device.blocks, {}, [](const trace::Block* block) { return block->address; });
  }
  return devices;
}

class Pinned {
 public:
  explicit Pinned(const Report& report) {
    for (const AllocationReport& allocation : report.allocations)
      if (allocation.layer == "tensor" && allocation.tensor)
        holders_[{allocation.device, allocation.address}] = allocation.tensor->holder_id;
  }

  Fragmentation device(int index, const DeviceMemory& memory) const {
    Fragmentation out;
    out.device = index;
    std::map<Key, PinGroup> groups;
    auto next = memory.blocks.begin();
    for (const Piece& piece : memory.pieces) {
      const std::uint64_t end = piece.address + piece.bytes;
      while (next != memory.blocks.end() && (*next)->address + (*next)->bytes <= piece.address) ++next;
      PinnedSegment segment;
      segment.address = piece.address;
      segment.bytes = piece.bytes;
      segment.expandable = piece.expandable;
      std::vector<const trace::Block*> inside;
      for (auto at = next; at != memory.blocks.end() && (*at)->address < end; ++at) {
        const std::uint64_t from = std::max((*at)->address, piece.address);
        segment.live_bytes += std::min((*at)->address + (*at)->bytes, end) - from;
        inside.push_back(*at);
      }
      out.reserved_bytes += piece.bytes;
      out.live_bytes += segment.live_bytes;
      if (inside.empty()) {
        out.unused_bytes += piece.bytes;
      } else if (segment.live_bytes < piece.bytes) {
        out.pinned_bytes += piece.bytes - segment.live_bytes;
        ++out.pinned_segments;
        add(index, inside, segment, groups);
        out.segments.push_back(std::move(segment));
      }
    }
    std::ranges::stable_sort(out.segments, std::greater(), free_in);
    if (out.segments.size() > most_segments) out.segments.resize(most_segments);
    for (const auto& [key, group] : groups) out.pinned_by.push_back(group);
    std::ranges::stable_sort(out.pinned_by, std::greater(), &PinGroup::free_bytes);
    return out;
  }

 private:
  using Key = std::pair<std::optional<SiteId>, std::optional<HolderId>>;

  std::optional<HolderId> holder_of(int device, const trace::Block& block) const {
    const auto found = holders_.find({device, block.address});
    return found == holders_.end() ? std::nullopt : found->second;
  }

  /// A segment belongs to the one call site, and the one holder, of all that lives in it; else to none.
  void add(int device, std::vector<const trace::Block*>& inside, PinnedSegment& segment,
           std::map<Key, PinGroup>& groups) const {
    std::ranges::stable_sort(inside, std::greater(), &trace::Block::bytes);
    segment.blocks = inside.size();
    Key key{SiteId(inside.front()->site), holder_of(device, *inside.front())};
    for (const trace::Block* block : inside) {
      if (key.first != block->site) key.first.reset();
      if (key.second && key.second != holder_of(device, *block)) key.second.reset();
      if (segment.pins.size() < most_pins)
        segment.pins.push_back({block->address, block->bytes, SiteId(block->site), holder_of(device, *block)});
    }
    PinGroup& group = groups[key];
    group.site = key.first;
    group.holder_id = key.second;
    ++group.segments;
    group.segment_bytes += segment.bytes;
    group.free_bytes += free_in(segment);
    group.blocks += inside.size();
  }

  std::map<std::pair<int, std::uint64_t>, std::optional<HolderId>> holders_;
};

}  // namespace

std::vector<Fragmentation> fragmentation(const trace::TraceFile& trace, const Report& report,
                                         const std::vector<std::vector<const trace::Block*>>& blocks,
                                         const std::vector<std::string>& owners) {
  const Pinned pinned(report);
  std::vector<Fragmentation> out;
  for (const auto& [index, memory] : memory_of(trace, blocks, owners)) {
    const trace::Account* const tensors = trace.account(Layer::tensor, static_cast<std::int16_t>(index), Kind::all);
    const bool hands_out = tensors != nullptr && tensors->allocated_count > 0;
    if (hands_out && !memory.pieces.empty()) out.push_back(pinned.device(index, memory));
  }
  return out;
}

bool is_fragmented(const Fragmentation& device) noexcept {
  constexpr Bytes least = Bytes{64} << 20;
  return device.pinned_bytes >= least && 5 * device.pinned_bytes >= device.reserved_bytes;
}

}  // namespace vramtrack
