// One traced process: its file, the notes at its start, its forked children, its end.
#pragma once

#include <cstdint>

namespace vramtrack::session {

/// Opens this process's trace and writes the notes that say what process it is. Called once, by its first event.
bool open(std::uint32_t forked_from) noexcept;

/// Whether this process has an open trace (recording or frozen).
bool started() noexcept;

/// In a forked child, as early as possible: the parent's trace is not ours; an own one is opened by the first event.
void after_fork_in_child() noexcept;
/// The recorder's part of it (recorder.cpp).
void reset_recorder(std::uint32_t forked_from) noexcept;

/// recording() is false from now on, without a word to the driver or the agent (recorder.cpp).
void freeze_quietly() noexcept;
/// Whether the calling thread is inside a hook: a signal handler may have interrupted one.
bool inside_hook() noexcept;

/// The process ends with this code: the agent's last chance, the end in the trace, the report where nobody else
/// writes it. Idempotent. Does nothing in a vfork child that shares our memory. `orderly`: by exit(), so the driver may
/// be asked for its free memory; not from _exit, which a signal handler may have called inside the driver. Returns the
/// code to end with: another one only where --fail-on-leak was asked for without a launcher.
int end(int code, bool orderly) noexcept;

/// Which functions of CUDA this process reached, and by which doors: note `doors` (doors_note.cpp).
void write_doors_note() noexcept;
/// Of a process that ends without a trace: leaves a mark when it used CUDA all the same (VRAMTRACK_DOCTOR).
void tell_doctor() noexcept;

/// Writes the reports of a finished trace by starting the vramtrack program (reporter.cpp). False: it found a leak of
/// the size that was asked for.
bool write_report(const char* trace_path) noexcept;

}  // namespace vramtrack::session
