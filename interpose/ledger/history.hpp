// The event history of --history: shards put events into bounded rings, one thread of ours codes them into the trace.
// Private to interpose/ledger, except start_history() (ledger.hpp).
#pragma once

#include <atomic>
#include <cstdint>

#include "interpose/trace/writer.hpp"

namespace vramtrack::ledger {

struct RingEvent {
  std::uint64_t time, address, bytes;
  std::uint32_t site;
  std::uint32_t step_and_free;  // step << 1 | is_free
};

/// One producer at a time (it holds the shard's lock), one consumer (it holds the history's lock).
struct HistoryRing {
  static constexpr std::uint32_t capacity = 1u << 17;
  RingEvent* events = nullptr;
  std::atomic<std::uint64_t> written{0};
  std::atomic<std::uint64_t> taken{0};
  std::atomic<std::uint64_t> dropped{0};
  std::uint64_t dropped_told = 0;     // of `dropped`, what the coded events say; the consumer's
  std::uint64_t dropped_counted = 0;  // of `dropped`, what is in the trace's losses; the consumer's

  /// Never waits: an event that does not fit is counted as dropped. True when the ring has just become half full.
  bool put(const RingEvent& event) noexcept {
    const std::uint64_t at = written.load(std::memory_order_relaxed);
    const std::uint64_t waiting = at - taken.load(std::memory_order_acquire);
    if (waiting >= capacity) [[unlikely]] {
      dropped.store(dropped.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      return false;
    }
    events[at % capacity] = event;
    written.store(at + 1, std::memory_order_release);
    return waiting == capacity / 2;
  }
};

/// The ring of a shard, or nullptr while no history is recorded.
HistoryRing* history_ring(std::uint32_t shard) noexcept;
bool history_is_on() noexcept;
/// Has the thread look at the rings at once (a system call: once in 65,536 events at most).
void wake_history() noexcept;
/// Puts what is still queued into the trace. Any thread; does nothing without a history.
void flush_history() noexcept;
void forget_history() noexcept;  // in a forked child

}  // namespace vramtrack::ledger
