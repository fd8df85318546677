// What the step that ran out of memory needed and those before did not: a longer sequence, a larger batch. Pure.
#pragma once

#include <optional>

#include "report/model/model.hpp"

namespace vramtrack::findings {

struct LargerStep {
  Bytes before = 0;                        // the most that tensors held in any step before
  const SiteReport* input = nullptr;       // where its first larger block was made; nullptr: none is
  Bytes input_bytes = 0, usual_bytes = 0;  // its size, and that of the site's blocks before on average
};

/// Nothing where few steps were made, or where those before held nearly as much: memory that piles up.
std::optional<LargerStep> larger_step(const Report& report, const OomReport& oom);

}  // namespace vramtrack::findings
