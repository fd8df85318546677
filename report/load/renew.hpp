// Brings a report of a running process up to date from its counters alone: cheap, however much lives (read_counters()).
#pragma once

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// Sets what `now` tells: times, steps, totals, time series, bytes and counts of the sites, tensors and cache of the
/// ledger. The rest stays as the whole trace gave it before: names, verdicts, findings, single blocks. False when `now`
/// has call sites that the report lacks, or is another trace: then the whole trace has to be read again.
bool renew(Report& report, const trace::TraceFile& now);

}  // namespace vramtrack
