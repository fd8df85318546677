// The moments and parts of the run that the program itself named (vramtrack.mark, vramtrack.phase), from the notes of
// the trace. Pure.
#pragma once

#include <vector>

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// In order of time. What is damaged is left out.
std::vector<Mark> named_marks(const Report& report, const trace::TraceFile& trace);
std::vector<Phase> named_phases(const Report& report, const trace::TraceFile& trace);

}  // namespace vramtrack
