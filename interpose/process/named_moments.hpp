// The moments and phases that the program names (vramtrack.mark, vramtrack.phase), as notes of the trace. Any thread.
//
// A program names its phases before it touches the GPU, and only then is there a trace: until then they are kept here,
// up to a limit, and are written when the trace opens, with the times and the order that they had. Of a process that
// never allocates, nothing is written.
#pragma once

namespace vramtrack::named_moments {

/// A phase of the calling thread begins; the innermost that it has open ends. Inside a hook's guard. errno may change.
void begin_phase(const char* name) noexcept;
void end_phase() noexcept;

/// A moment with a name. The same.
void mark(const char* name) noexcept;

/// The trace of this process has just been opened, and is active: writes what was kept.
void write_kept() noexcept;

/// In a forked child: what the parent named is the parent's.
void reset() noexcept;

}  // namespace vramtrack::named_moments
