// Brings the Python agent (vramtrack_agent/, embedded as text) into a process that runs CPython, and gives it its
// natives. Runs in the traced process. Never takes the GIL inside a CUDA hook.
#pragma once

#include <atomic>
#include <cstdint>

#include "interpose/core/hot.hpp"
#include "interpose/core/hot_thread.hpp"
#include "interpose/trace/parts.hpp"

namespace vramtrack::agent {

/// Called from the first recorded event of the process (any thread, GIL unknown): schedules the agent.
void schedule() noexcept;

/// Called by the interposed _exit and by the library's own exit path: last chance for the agent's exit analysis.
/// Does nothing when it already ran, or when Python is not there or is finalizing.
void finish() noexcept;

/// Whether an address is in the code of the interpreter (its shared library, or the program that contains it). Any
/// moment, also in a signal handler.
bool is_interpreter(const void* address) noexcept;

/// Writes the facts of every tensor, as finish() does, while the program goes on. The caller holds the GIL, in no hook.
/// False: there is no agent here.
bool look_at_all() noexcept;

/// An OOM snapshot `n` was written by the allocator hook in this thread: the observer, which asks once, attaches its
/// facts to it. 0: no snapshot is kept of this one.
std::uint32_t last_oom() noexcept;
void note_oom(std::uint32_t n) noexcept;

/// In a forked child: its first event brings the agent in again.
void reset() noexcept;

namespace detail {
extern std::atomic<std::uint64_t> g_next_bytes;  // look at the frames when the allocator's total reaches this
VRAMTRACK_COLD void tell(std::uint64_t allocated_bytes) noexcept;
}  // namespace detail

/// The caching allocator handed out (or took back) a block; `allocated_bytes` is its total after the event. Any thread.
/// At a new height of memory or of blocks the agent is asked to take a short look at the running frames: later, in the
/// main thread, never here.
inline void watch(bool allocated, std::uint64_t allocated_bytes) noexcept {
  if (!is_on(Part::agent)) return;
  // Counted in the thread, so that no line is written that others read.
  t_hot.blocks += allocated ? 1 : -1;
  ++t_hot.events;
  if (allocated && (t_hot.events >= t_hot.tell_at ||
                    allocated_bytes >= detail::g_next_bytes.load(std::memory_order_relaxed))) [[unlikely]]
    detail::tell(allocated_bytes);
}

}  // namespace vramtrack::agent
