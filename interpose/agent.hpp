// Brings the Python agent (agent/py/*.py, embedded as text) into a process that runs CPython, and gives it its natives.
// Runs in the traced process. Never takes the GIL inside a CUDA hook.
#pragma once

#include <atomic>
#include <cstdint>

#include "interpose/support/hot.hpp"

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

namespace detail {
struct alignas(64) Watch {
  std::atomic<std::uint64_t> blocks{0};       // live blocks of the caching allocator
  std::atomic<std::uint64_t> next_bytes{0};   // look at the frames when its total reaches this
  std::atomic<std::uint64_t> next_blocks{0};  // ... or its blocks
  std::atomic<std::uint64_t> events{0};       // allocations and frees so far
  std::atomic<std::uint64_t> next_event{
      32};  // ... or these: 32, 512, 8192, ..., for programs that are soon at their height
};
extern Watch g_watch;
VRAMTRACK_COLD void reached(std::uint64_t bytes, std::uint64_t blocks) noexcept;
}  // namespace detail

/// The caching allocator handed out (or took back) a block; `allocated_bytes` is its total after the event. Called by
/// its hook, which the allocator serialises. At a new height of memory or of blocks the agent is asked to take a short
/// look at the running frames: later, in the main thread, never here.
inline void watch(bool allocated, std::uint64_t allocated_bytes) noexcept {
  auto& w = detail::g_watch;
  const std::uint64_t blocks = w.blocks.load(std::memory_order_relaxed) + (allocated ? 1 : -1ull);
  w.blocks.store(blocks, std::memory_order_relaxed);
  const std::uint64_t events = w.events.load(std::memory_order_relaxed) + 1;
  w.events.store(events, std::memory_order_relaxed);
  if (allocated && (allocated_bytes >= w.next_bytes.load(std::memory_order_relaxed) ||
                    blocks >= w.next_blocks.load(std::memory_order_relaxed) ||
                    events >= w.next_event.load(std::memory_order_relaxed))) [[unlikely]]
    detail::reached(allocated_bytes, blocks);
}

}  // namespace vramtrack::agent
