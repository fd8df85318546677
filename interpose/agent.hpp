// Brings the Python agent (agent/*.py, embedded as text) into a process that runs CPython, and gives it its natives.
// Runs in the traced process. Never takes the GIL inside a CUDA hook.
#pragma once

#include <cstdint>

namespace vramtrack::agent {

/// Called from the first recorded event of the process (any thread, GIL unknown): schedules the agent.
void schedule() noexcept;

/// Called by the interposed _exit and by the library's own exit path: last chance for the agent's exit analysis.
/// Does nothing when it already ran, when Python is not there or is finalizing, or in a forked child.
void finish() noexcept;

/// An OOM snapshot `n` was written by the allocator hook in this thread: the observer attaches its facts to it.
std::uint32_t last_oom() noexcept;
void note_oom(std::uint32_t n) noexcept;

/// In a forked child.
void reset() noexcept;

}  // namespace vramtrack::agent
