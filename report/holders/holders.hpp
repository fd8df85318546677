// Who holds the memory: from the graphs of a trace to the report's holders. Between symbolize and findings: needs the
// sites and allocations of the report.
#pragma once

#include "contract/reader.hpp"
#include "report/holders/trained_modules.hpp"
#include "report/model/model.hpp"

namespace vramtrack::holders {

/// Fills Report::moments and Report::holders and points the tensors of allocations at their holders. `oom`: number of
/// the out-of-memory event that the report is about, or 0. `source_text`: source files may be read. Returns which
/// models learn.
TrainedModules add_holders(Report& report, const trace::TraceFile& trace, std::uint32_t oom, bool source_text);

}  // namespace vramtrack::holders
