#include "contract/replay.hpp"

#include <algorithm>

namespace vramtrack::trace {

namespace {

// Live blocks by (shard, address): open addressing without tombstones. The sites' layer and device tell shards apart.
class LiveSet {
 public:
  LiveSet() : entries_(1024) {}

  void put(std::uint64_t space, const HistoryEvent& event) {
    if ((size_ + 1) * 10 > entries_.size() * 7) grow();
    Entry& entry = entries_[find(space, event.address)];
    if (entry.block.address == 0) ++size_;
    entry.space = space;
    entry.block = Block{event.address, event.bytes, event.time, 0, event.site, event.step, 0, 0};
  }
  void take(std::uint64_t space, std::uint64_t address) {
    std::size_t gap = find(space, address);
    if (entries_[gap].block.address == 0) return;
    --size_;
    const std::size_t mask = entries_.size() - 1;
    for (std::size_t at = (gap + 1) & mask; entries_[at].block.address != 0; at = (at + 1) & mask) {
      const std::size_t home = hash(entries_[at].space, entries_[at].block.address) & mask;
      if (((at - home) & mask) < ((at - gap) & mask)) continue;
      entries_[gap] = entries_[at];
      gap = at;
    }
    entries_[gap].block.address = 0;
  }
  std::vector<Block> blocks() const {
    std::vector<Block> result;
    result.reserve(size_);
    for (const Entry& entry : entries_)
      if (entry.block.address != 0) result.push_back(entry.block);
    std::sort(result.begin(), result.end(), [](const Block& a, const Block& b) {
      return a.address != b.address ? a.address < b.address : a.time < b.time;
    });
    return result;
  }

 private:
  struct Entry {
    std::uint64_t space = 0;
    Block block{};
  };
  static std::size_t hash(std::uint64_t space, std::uint64_t address) {
    std::uint64_t x = (address ^ space << 48) * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>(x >> 20 ^ x >> 43);
  }
  std::size_t find(std::uint64_t space, std::uint64_t address) const {
    const std::size_t mask = entries_.size() - 1;
    std::size_t at = hash(space, address) & mask;
    while (entries_[at].block.address != 0 && (entries_[at].block.address != address || entries_[at].space != space))
      at = (at + 1) & mask;
    return at;
  }
  void grow() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    for (const Entry& entry : old)
      if (entry.block.address != 0) entries_[find(entry.space, entry.block.address)] = entry;
  }
  std::vector<Entry> entries_;
  std::size_t size_ = 0;
};

// Where equal addresses are the same thing (as the ledger sees it).
std::uint64_t space_of(const Site& site) {
  if (site.layer == static_cast<std::uint8_t>(Layer::tensor)) return 8 + static_cast<std::uint16_t>(site.device);
  switch (static_cast<Kind>(site.kind)) {
    case Kind::host_pinned:
    case Kind::registered:
      return 1;
    case Kind::array:
      return 2;
    case Kind::vmm:
      return 3;
    default:
      return 0;
  }
}

}  // namespace

std::vector<ReplayTimeline> replay_timelines(HistoryReader& history, const TraceFile& trace, std::size_t buckets) {
  std::vector<ReplayTimeline> lines;
  std::vector<std::uint64_t> levels;
  const auto range = history.time_range();
  const std::uint64_t first = range.first, last = range.second;
  const std::uint64_t interval = std::max<std::uint64_t>(1, (last - first) / std::max<std::size_t>(1, buckets) + 1);
  constexpr std::uint32_t not_shown = ~0u;
  std::vector<std::uint32_t> line_of(trace.sites.size(), not_shown);
  for (std::size_t i = 0; i < trace.sites.size(); ++i) {
    const Site& site = trace.sites[i];
    if (site.used != 1 || !is_device_memory(static_cast<Kind>(site.kind))) continue;
    const auto layer = static_cast<Layer>(site.layer);
    std::size_t at = 0;
    while (at != lines.size() && (lines[at].layer != layer || lines[at].device != site.device)) ++at;
    if (at == lines.size()) {
      lines.emplace_back();
      lines[at].layer = layer;
      lines[at].device = site.device;
      lines[at].start = first;
      lines[at].interval = interval;
    }
    line_of[i] = static_cast<std::uint32_t>(at);
  }
  levels.resize(lines.size());
  // Fills the buckets up to and including `bucket` with the level that was carried into them.
  const auto reach = [](ReplayTimeline& line, std::size_t bucket, std::uint64_t level, std::uint32_t step) {
    while (line.live_bytes.size() <= bucket) {
      line.live_bytes.push_back(level);
      line.steps.push_back(step);
    }
  };
  std::vector<std::uint64_t> bucket_ends(lines.size(), 0);
  history.for_each_event([&](const HistoryEvent& event) {
    if (event.site >= line_of.size() || line_of[event.site] == not_shown) return;
    const std::size_t at = line_of[event.site];
    ReplayTimeline& line = lines[at];
    std::uint64_t& level = levels[at];
    if (event.time >= bucket_ends[at]) [[unlikely]] {
      const std::uint64_t bucket = event.time <= first ? 0 : (event.time - first) / interval;
      if (bucket >= buckets) return;
      reach(line, bucket, level, line.steps.empty() ? event.step : line.steps.back());
      bucket_ends[at] = first + (bucket + 1) * interval;
    }
    if (event.is_free) {
      level -= std::min(level, event.bytes);
      ++line.frees;
    } else {
      level += event.bytes;
      ++line.allocations;
      if (level > line.live_bytes.back()) line.live_bytes.back() = level;
      if (level > line.peak_bytes) {
        line.peak_bytes = level;
        line.peak_time = event.time;
      }
    }
    line.steps.back() = event.step;
  });
  for (std::size_t at = 0; at != lines.size(); ++at)
    if (last >= first && !history.empty())
      reach(lines[at], std::min<std::uint64_t>(buckets - 1, (last - first) / interval), levels[at],
            lines[at].steps.empty() ? 0 : lines[at].steps.back());
  std::sort(lines.begin(), lines.end(), [](const ReplayTimeline& a, const ReplayTimeline& b) {
    return a.layer != b.layer ? a.layer < b.layer : a.device < b.device;
  });
  return lines;
}

std::vector<Block> replay_live(HistoryReader& history, const TraceFile& trace, std::uint64_t time) {
  LiveSet live;
  std::vector<std::uint64_t> spaces;
  for (const Site& site : trace.sites) spaces.push_back(space_of(site));
  history.for_each_event([&](const HistoryEvent& event) {
    if (event.time > time) return false;
    if (event.site >= spaces.size() || event.address == 0) return true;
    if (event.is_free)
      live.take(spaces[event.site], event.address);
    else
      live.put(spaces[event.site], event);
    return true;
  });
  return live.blocks();
}

}  // namespace vramtrack::trace
