// Is a site's memory a leak? Judged by when its surviving blocks were born.
//
// A leak's survivors are born all along the run: from the site's first allocation on, and still at the end. What only
// looks like one fails a part of that:
//   parameters, optimizer state, EMA copies    born early, none later                       steady
//   lazily made state, caches that fill up     born early and middle, fewer and fewer       steady
//   gradients, the last step's activations     born in the last steps only                  recent
//   a bounded buffer (replay, last N losses)   the old ones are gone: freed as new ones come recent
//   a model or data set being loaded           nothing else comes and goes between them     steady
//   workspaces, an allocator's segments        kept on purpose                              cache
// The test is on the whole distribution of the births (distance from an even spread, gap at its start, what is left at
// its end), never on a size or a count alone; a leak of one block a step is seen after a handful of steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

struct Birth {
  std::uint32_t step = 0;  // of the step clock; 0: before the first step ended
  double time = 0;         // seconds
  Bytes bytes = 0;
};

/// What a block is for, if its stack or size tells.
enum class Purpose : std::uint8_t {
  unknown,
  allocator_segment,  // a caching allocator's own memory, from which it hands out blocks
  workspace,          // cuBLAS, cuBLASLt, cuDNN: allocated once per handle and stream, kept on purpose
};

/// All that is known about one site at the moment of the report.
struct SiteHistory {
  std::vector<Birth> survivors;
  std::uint64_t allocated_count = 0, freed_count = 0;
  double first_time = 0, last_time = 0;  // of its allocations
  double last_free_time = 0;             // only if freed_count > 0
  std::uint64_t freed_late = 0;          // frees of blocks that had lived for two steps or more
  std::uint32_t first_step = 0;          // of its allocations
  std::uint32_t made_until = 0;          // last step in which their call site made one, kept with these or not (yet)
  std::uint64_t of_model = 0;  // survivors that belong to a module, an optimizer or a graph, as far as is known
  Purpose purpose = Purpose::unknown;
  // Births that one pass over a model may make: fewer tell nothing without a step clock, unless it is known that each
  // is an element that was put into one container.
  std::size_t least_births = 100;
};

/// Time measured in allocations and frees: a loop's iterations are alike in it, whatever each of them waits for.
class ActivityClock {
 public:
  /// `events` allocations and frees happened until `time` (ascending) since the point before.
  void add(double time, std::uint64_t events);
  /// Allocations and frees until then, by interpolation; without any points, the time itself.
  double at(double time) const noexcept;

 private:
  struct Point {
    double time, events;  // events: in all until then
  };
  std::vector<Point> points_;
};

/// The run as a whole, as far as the site's layer and device go.
struct RunClock {
  std::uint32_t steps = 0;        // finished steps; 0: the run has no step clock
  double now = 0;                 // the last allocation or free before the report, seconds
  std::uint64_t temporaries = 0;  // blocks that were freed so far
  const ActivityClock* activity = nullptr;
  const std::vector<double>* births = nullptr;  // of all blocks alive, ascending
};

struct Verdict {
  std::string verdict;  // steady | growing | recent | cache | one-off
  Growth growth;
  std::string evidence;  // one sentence
};

Verdict judge(const SiteHistory& history, const RunClock& clock);

}  // namespace vramtrack
