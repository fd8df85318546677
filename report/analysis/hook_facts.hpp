// What the preloaded library says of itself: by which doors CUDA was reached, and what CUPTI, asked as second witness,
// saw. Both come from notes of the trace, or from the `doors` and `audit` keys of a report read back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

struct Doors {
  std::vector<std::string> runtimes;  // paths of the loaded libcudart
  std::optional<std::string> driver;  // path of libcuda.so.1
  std::vector<std::string> by_name, by_look_up;
  std::uint64_t unwrapped = 0;  // look-ups that were answered with the real function, since all wrappers were taken
};

struct CalledFunction {
  std::string function;
  std::uint64_t count = 0;
  Bytes bytes = 0;
};

struct Audit {
  std::optional<std::string> unavailable;  // why CUPTI could not be asked
  bool complete = false;                   // false: the process ended before it could tell
  bool handed_over = false;                // the program wanted CUPTI for itself (torch.profiler): figures until then
  std::uint64_t version = 0;               // of CUPTI
  std::uint64_t allocations = 0, missed = 0;
  bool recorded = false;  // --cupti: what the hooks missed is in the report all the same
  std::vector<CalledFunction> missed_functions;
  std::vector<CalledFunction>
      explained;               // graph launches: their memory is that of nodes, recorded when these were made
  Bytes graph_peak_bytes = 0;  // the most that graphs held at once, as the driver knows it
};

/// nullopt: not noted (the process was killed), or not in the form of docs/report.schema.json.
std::optional<Doors> doors_of(const Report& report);
/// nullopt: neither --audit nor --cupti was asked for.
std::optional<Audit> audit_of(const Report& report);

/// One line, without line end: "audit: CUPTI saw 12 allocations, all recorded".
std::string audit_line(const Audit& audit);

}  // namespace vramtrack
