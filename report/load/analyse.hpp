// From a trace (facts as recorded) to a report (facts explained): symbols, merged stacks, verdicts, ledger, findings.
// Runs in the tools, never in the traced process.
#pragma once

#include <cstdint>
#include <string>

#include "contract/mapped_input.hpp"
#include "report/model/model.hpp"
#include "report/symbolize/stack_resolver.hpp"

namespace vramtrack {

namespace trace {
struct TraceFile;
}

struct AnalyseOptions : SymbolOptions {
  std::string at = "exit";                      // exit | peak | oom | live
  std::uint32_t oom = 1;                        // with "oom": which one
  std::size_t max_allocations = 10000;          // live blocks listed one by one; the rest are counted
  Bytes min_size = 0;                           // smaller sites and blocks are left out of the lists, not of the totals
  bool page = false;                            // also what only a page shows: the event history as bands
  trace::Whose whose = trace::Whose::anybodys;  // load(): which traces are read
};

/// Never throws for what a trace may hold; an `oom` that is not there is an InputError.
Report analyse(const trace::TraceFile& trace, const AnalyseOptions& options);

}  // namespace vramtrack
