// One traced process: its file, the notes at its start, its forked children, its end.
#pragma once

#include <cstdint>

namespace vramtrack::session {

/// Opens this process's trace and writes the notes that say what process it is. Called once, by its first event.
bool open(std::uint32_t forked_from) noexcept;

/// In a forked child, as early as possible: the parent's trace is not ours; an own one is opened by the first event.
void after_fork_in_child() noexcept;

/// The process ends with this code: the agent's last chance, the end in the trace, the report where nobody else
/// writes it. Idempotent. Does nothing in a vfork child that shares our memory. `orderly`: by exit(), so the driver may
/// be asked for its free memory; not from _exit, which a signal handler may have called inside the driver. Returns the
/// code to end with: another one only where --fail-on-leak was asked for without a launcher.
int end(int code, bool orderly) noexcept;

/// Whether a launcher will write the report. One that has ended does not: a daemon, or a worker that lost its parent,
/// writes its own.
bool launcher_waits() noexcept;

/// Writes the reports of a finished trace by starting the vramtrack program (reporter.cpp). False: it found a leak of
/// the size that was asked for.
bool write_report(const char* trace_path) noexcept;

}  // namespace vramtrack::session
