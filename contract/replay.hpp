// What was live when, from the event history. Runs in the tools. Memory: the live set (replay_live), or nothing to
// speak of (replay_timelines), however long the history is.
#pragma once

#include <cstdint>
#include <vector>

#include "contract/history_reader.hpp"
#include "contract/reader.hpp"

namespace vramtrack::trace {

/// One (layer, device)'s device memory over the whole run: bucket i covers `interval` ticks from start + i * interval.
struct ReplayTimeline {
  Layer layer = Layer::tensor;
  std::int16_t device = 0;
  std::uint64_t start = 0, interval = 1;  // ticks
  std::vector<std::uint64_t> live_bytes;  // the largest level in the bucket
  std::vector<std::uint32_t> steps;       // the step clock at the end of the bucket
  std::uint64_t peak_bytes = 0, peak_time = 0;
  std::uint64_t allocations = 0, frees = 0;
};

/// Sorted by layer and device. One pass over the events.
std::vector<ReplayTimeline> replay_timelines(HistoryReader& history, const TraceFile& trace,
                                             std::size_t buckets = 4096);

/// The live set after all events up to and including `time` (both layers), by address; `stream` and `thread` are 0.
std::vector<Block> replay_live(HistoryReader& history, const TraceFile& trace, std::uint64_t time);

}  // namespace vramtrack::trace
