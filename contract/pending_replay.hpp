// Books the events that a process had left waiting (Pending) into the value that the reader made of its trace. Runs in
// the tools. A second implementation of what interpose/ledger does, over vectors instead of the mapped file; what an
// event does to the counters is shared (counters.hpp).
#pragma once

#include "contract/pending_input.hpp"
#include "contract/reader.hpp"

namespace vramtrack::trace {

/// `file` has the accounts of the header, sites, live blocks and time series. The events were copied while none of them
/// was being booked, or after the process had died.
void book_pending(TraceFile& file, const Waiting& waiting);

/// Whether book_pending() looks for live blocks.
bool has_frees(const Waiting& waiting);

}  // namespace vramtrack::trace
