// A trace says many things twice: what an account holds is what its call sites hold, and a site holds its live blocks.
// Where the figures contradict each other, the file was damaged after it was written.
#pragma once

#include <string>
#include <vector>

#include "contract/reader.hpp"

namespace vramtrack::trace {

/// One sentence for each kind of contradiction. None for a trace that was not brought to an end in order, or that says
/// itself that events are missing: there the last event may be in one table and not yet in the other.
std::vector<std::string> contradictions(const TraceFile& trace);

}  // namespace vramtrack::trace
