// Events of the tensor layer wait in the trace and are booked together (trace::Pending). What a killed process had not
// booked is booked by the reader. Private to interpose/ledger; every function runs under the shard's lock.
#pragma once

#include "interpose/ledger/state.hpp"

namespace vramtrack::ledger {

/// Opens a device's place for pending events; false: the disk is full.
VRAMTRACK_COLD bool open_pending(trace::Writer& writer, Shard& shard, std::int16_t device) noexcept;

/// Books what waits. Any shard.
void book_pending(trace::Writer& writer, Shard& shard) noexcept;

/// Has an event wait. False: it cannot, and is to be booked at once.
inline bool defer(trace::Writer& writer, Shard& shard, std::int16_t device, const trace::PendingEvent& event) noexcept {
  if (shard.pending == nullptr && !open_pending(writer, shard, device)) [[unlikely]]
    return false;
  trace::PendingEvent& place = shard.pending->events[shard.pending_count];
  place.address = event.address;
  place.bytes = event.bytes;
  place.reserved_bytes = event.reserved_bytes;
  place.stack = event.stack;
  place.forward = event.forward;
  place.step = event.step;
  place.thread = event.thread;
  std::atomic_ref(place.time).store(event.time, std::memory_order_release);
  if (++shard.pending_count == trace::pending_events) [[unlikely]]
    book_pending(writer, shard);
  return true;
}

}  // namespace vramtrack::ledger
