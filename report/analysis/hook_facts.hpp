// What the preloaded library says of itself: by which doors CUDA was reached, and what CUPTI, asked as second witness,
// saw. Both come from notes of the trace.
#pragma once

#include <optional>
#include <string>

#include "report/model/model.hpp"

namespace vramtrack {

/// nullopt: not noted (the process was killed), or not in the form of docs/report.schema.json.
std::optional<Doors> doors_of(const Report& report);
/// nullopt: neither --audit nor --cupti was asked for.
std::optional<Audit> audit_of(const Report& report);

/// One line, without line end: "audit: CUPTI saw 12 allocations, all recorded".
std::string audit_line(const Audit& audit);

}  // namespace vramtrack
