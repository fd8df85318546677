#include "tools/replay/sizes.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "contract/notes.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/read_fact.hpp"

namespace vramtrack::tools::replay {
namespace {

// Of PyTorch's allocator: blocks up to this size come from a pool of their own; the largest rest that is not split off.
constexpr std::uint64_t small = 1u << 20;
constexpr std::uint64_t rounding = 512;

std::uint64_t rounded(std::uint64_t bytes) { return (bytes + rounding - 1) / rounding * rounding; }

void take_out(std::multiset<std::uint64_t>& pieces, std::uint64_t bytes) {
  if (const auto piece = pieces.find(bytes); piece != pieces.end()) pieces.erase(piece);
}

void put_in(std::multiset<std::uint64_t>& pieces, std::uint64_t bytes) {
  if (bytes > 0) pieces.insert(bytes);
}

}  // namespace

Sizes::Sizes(const trace::TraceFile& trace, int device) {
  namespace request = fact::request;
  for (const trace::Note* note : trace.all_notes(trace::note_key::requested)) {
    const Json looks = read_fact(note->value);
    if (!looks.is_array()) continue;
    for (const Json& look : looks) {
      const auto ticks = get(look, fact::requested::ticks);
      if (!ticks) continue;
      auto& rows = looks_[*ticks];
      for (const Json* row : get(look, fact::requested::blocks)) {
        const auto address = get(*row, request::address), bytes = get(*row, request::bytes);
        if (address && bytes && get(*row, request::device) == static_cast<std::uint64_t>(device))
          rows[*address] = *bytes;
      }
    }
  }
}

void Sizes::look_until(std::uint64_t time) {
  while (!looks_.empty() && looks_.begin()->first < time) {
    const auto& rows = looks_.begin()->second;
    for (const auto& [address, index] : living_) {
      Unsure& block = unsure_[index];
      const auto row = rows.find(address);
      const std::uint64_t bytes = row == rows.end() ? block.most : rounded(row->second);
      if (block.seen || bytes < block.most - small || bytes > block.most) continue;
      block.seen = true;
      block.least = block.most = bytes;
    }
    looks_.erase(looks_.begin());
  }
}

void Sizes::add_segment(std::uint64_t address, std::uint64_t bytes) { segments_[address] = {address + bytes, {}, {}}; }

void Sizes::drop_segment(std::uint64_t address) {
  const auto segment = segments_.find(address);
  if (segment == segments_.end()) return;
  if (segment->second.free != nullptr) take_out(*segment->second.free, segment->second.end - address);
  segments_.erase(segment);
}

std::map<std::uint64_t, Sizes::Segment>::iterator Sizes::segment_of(std::uint64_t address) {
  const auto after = segments_.upper_bound(address);
  if (after == segments_.begin() || std::prev(after)->second.end <= address) return segments_.end();
  return std::prev(after);
}

/// What is free on both sides of `address`, which belongs to no block.
Sizes::Gap Sizes::gap_around(const std::pair<const std::uint64_t, Segment>& segment, std::uint64_t address) {
  const auto& blocks = segment.second.blocks;
  const auto after = blocks.lower_bound(address);
  return {after == blocks.begin() ? segment.first : std::prev(after)->second,
          after == blocks.end() ? segment.second.end : after->first};
}

void Sizes::add_block(std::size_t event, std::uint64_t address, std::uint64_t bytes, Place place) {
  drop_block(address);
  const auto found = segment_of(address);
  if (found == segments_.end()) return;
  Segment& segment = found->second;
  const Gap gap = gap_around(*found, address);
  if (address < gap.begin || address + bytes > gap.end) return;
  if (segment.free == nullptr)
    segment.free = &free_[std::uint64_t{place.pool} << 32 | place.stream];
  else
    take_out(*segment.free, gap.bytes());
  put_in(*segment.free, address - gap.begin);
  put_in(*segment.free, gap.end - address - bytes);
  segment.blocks[address] = address + bytes;
  if (bytes <= small) return;
  if (address + bytes < gap.end) {
    certain_[bytes].push_back(event);
    return;
  }
  std::uint64_t least = std::max(small + rounding, bytes - small);
  const auto not_less = segment.free->lower_bound(bytes);
  if (not_less != segment.free->begin()) least = std::max(least, *std::prev(not_less) + rounding);
  living_[address] = unsure_.size();
  unsure_.push_back({event, std::min(least, bytes), bytes, false});
}

void Sizes::drop_block(std::uint64_t address) {
  living_.erase(address);
  const auto found = segment_of(address);
  if (found == segments_.end()) return;
  Segment& segment = found->second;
  const auto block = segment.blocks.find(address);
  if (block == segment.blocks.end()) return;
  const std::uint64_t end = block->second;
  segment.blocks.erase(block);
  const Gap gap = gap_around(*found, address);
  take_out(*segment.free, address - gap.begin);
  take_out(*segment.free, gap.end - end);
  put_in(*segment.free, gap.bytes());
}

std::uint64_t Sizes::settle(std::vector<Event>& events) const {
  auto certain = certain_;
  for (const Unsure& block : unsure_)
    if (block.seen) certain[block.most].push_back(block.event);
  for (auto& [bytes, where] : certain) std::sort(where.begin(), where.end());
  std::uint64_t unsure = 0;
  for (const Unsure& block : unsure_) {
    std::uint64_t likely = block.most;
    std::size_t nearest = events.size();
    for (auto size = certain.lower_bound(block.least); size != certain.end() && size->first <= block.most; ++size) {
      const auto after = std::lower_bound(size->second.begin(), size->second.end(), block.event);
      const std::size_t distance = std::min(after == size->second.end() ? nearest : *after - block.event,
                                            after == size->second.begin() ? nearest : block.event - *std::prev(after));
      if (distance >= nearest) continue;
      nearest = distance;
      likely = size->first;
    }
    events[block.event].likely = likely;
    events[block.event].least = block.least;
    unsure += block.least < block.most;
  }
  return unsure;
}

}  // namespace vramtrack::tools::replay
