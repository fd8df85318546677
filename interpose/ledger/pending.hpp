// Events of the tensor layer wait in the trace, in a ring of their thread, and are booked together (trace::Pending).
// What a killed process had not booked is booked by the reader. Private to interpose/ledger.
#pragma once

#include <bit>

#include "interpose/core/hot_thread.hpp"
#include "interpose/ledger/state.hpp"

namespace vramtrack::ledger {

/// One thread's events of one device (trace::Pending). Its thread adds them without a lock; whoever holds the shard's
/// lock books them.
///
/// The order of two threads' events is that of their times, which is the order in which they came, since PyTorch's
/// allocator holds a lock around each: the clock is the same for all cores (clock.cpp sees to that), and more lies
/// between taking that lock and reading the clock than a processor has in hand at once.
struct alignas(64) Ring {
  trace::Pending* pending;
  std::int16_t device;
  Ring* next_of_thread;  // the same thread's, of another device
  // Under the shard's lock:
  Ring* next_of_shard;
  std::uint64_t from, to;  // the events that are being booked
  bool has_thread;         // false: it ended, and the next new one takes over

  trace::PendingEvent& event(std::uint64_t n) const noexcept { return pending->events[n % trace::pending_events]; }
};

/// A ring while events of several are merged, and the time of its next event.
struct Head {
  static constexpr std::uint64_t never = ~std::uint64_t{0};
  std::uint64_t time;
  Ring* ring;

  void look() noexcept { time = ring->from == ring->to ? never : ring->event(ring->from).time; }
};

/// Makes a device's ring the calling thread's current one (t_hot). False: the disk is full.
VRAMTRACK_COLD bool find_ring(trace::Writer& writer, Shard& shard, std::int16_t device) noexcept;
/// After a fork, in the child.
void forget_rings() noexcept;

/// Devices of the tensor layer that have rings, a bit each.
extern constinit std::atomic<std::uint64_t> g_tensor_devices;
static_assert(max_devices <= 64);

/// Calls `visit(shard)` for the tensor layer's devices in use.
template <class Visit>
void for_tensor_shards(Visit&& visit) {
  for (std::uint64_t left = g_tensor_devices.load(std::memory_order_acquire); left != 0; left &= left - 1)
    visit(g_shards[1 + std::countr_zero(left)]);
}

/// Books what waits in any thread's ring. Under the shard's lock.
void book_pending(trace::Writer& writer, Shard& shard) noexcept;
/// Same, without that lock; unless another thread holds it, who is at it already.
VRAMTRACK_COLD void book_unless_busy(trace::Writer& writer, Shard& shard) noexcept;
/// Makes room in the thread's current ring.
VRAMTRACK_COLD void make_room(trace::Writer& writer, Shard& shard) noexcept;

/// Has an event of this thread wait. False: it cannot, and is to be booked at once.
inline bool defer(trace::Writer& writer, Shard& shard, std::int16_t device, const trace::PendingEvent& event) noexcept {
  HotThread& hot = t_hot;
  if ((hot.ring == nullptr || hot.device != device) && !find_ring(writer, shard, device)) [[unlikely]]
    return false;
  trace::Pending& pending = *hot.pending;
  const std::uint64_t n = pending.written;
  if (n == hot.room_until) [[unlikely]]
    make_room(writer, shard);
  hot.last_time = event.time > hot.last_time ? event.time : hot.last_time + 1;
  trace::PendingEvent& place = pending.events[n % trace::pending_events];
  place.address = event.address;
  place.bytes = event.bytes;
  place.reserved_bytes = event.reserved_bytes;
  place.time = hot.last_time;
  place.stack = event.stack;
  place.forward = event.forward;
  place.step = event.step;
  place.thread = event.thread;
  std::atomic_ref(pending.written).store(n + 1, std::memory_order_release);
  if ((n + 1) % (trace::pending_events / 2) == 0) [[unlikely]]
    book_unless_busy(writer, shard);
  return true;
}

}  // namespace vramtrack::ledger
