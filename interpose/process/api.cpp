// What a traced program may ask of this library: looked up by name in the process, so that a program needs no header
// and no link, and does without where it is not preloaded. python/vramtrack wraps it. Any thread, no lock held outside.
#include "interpose/core/saved_errno.hpp"
#include "interpose/ledger/ledger.hpp"
#include "interpose/python/agent.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/trace/writer.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

/// 1 when this process is recorded, or will be from its first GPU allocation on; 0 when recording is off for good.
EXPORT int vramtrack_recording() { return vramtrack::may_record() ? 1 : 0; }

/// The absolute path of this process's trace; "" before its first GPU allocation. Valid until a fork.
EXPORT const char* vramtrack_trace() {
  vramtrack::trace::Writer* const writer = vramtrack::trace_open() ? vramtrack::trace::active() : nullptr;
  return writer == nullptr ? "" : writer->path();
}

/// Writes at most `room` accounts (ledger::Total) to `out`; returns how many.
EXPORT unsigned vramtrack_totals(void* out, unsigned room) {
  const vramtrack::SavedErrno keep;
  const vramtrack::HookScope scope;
  return vramtrack::ledger::totals(static_cast<vramtrack::ledger::Total*>(out), room);
}

/// Total::window_peak_bytes counts from now on.
EXPORT void vramtrack_begin_window() {
  const vramtrack::SavedErrno keep;
  const vramtrack::HookScope scope;
  vramtrack::ledger::begin_window();
}

/// Puts into the trace who holds what now, as far as Python tells it: a report of this moment (`--at live`) then has
/// holders. The caller holds the GIL (ctypes.PyDLL). 1: done; 0: there is no agent.
EXPORT int vramtrack_look() { return vramtrack::trace_open() && vramtrack::agent::look_at_all() ? 1 : 0; }
