// See pending.hpp.
#include "interpose/ledger/pending.hpp"

#include <bit>
#include <span>

#include "contract/counters.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/thread_end.hpp"
#include "interpose/ledger/booking.hpp"
#include "interpose/trace/parts.hpp"

namespace vramtrack::ledger {

namespace {

using trace::PendingEvent;
using trace::Writer;

constexpr std::uint32_t space = address_space(Kind::block);
constexpr std::size_t many_blocks = 8192;  // whose index and records are not in the nearer caches
constexpr std::uint32_t max_events = 64;

/// Events that are booked together, in their order.
struct Batch {
  std::uint32_t count = 0;
  PendingEvent* events[max_events];

  PendingEvent& operator[](std::uint32_t n) const noexcept { return *events[n]; }
};

/// Allocations and frees of one batch that belong together: most blocks of a program live for less than that. A pair
/// that is not found is booked as any other block.
struct Pairs {
  std::uint64_t found = 0;  // bit i: event i has a partner
  std::uint8_t partner[max_events];

  explicit Pairs(const Batch& events) noexcept {
    std::uint8_t last[4 * max_events] = {};  // the last allocation by the hash of its address
    for (std::uint32_t i = 0; i < events.count; ++i) {
      const std::uint64_t address = events[i].address;
      std::uint8_t& known = last[address * 0x9e3779b97f4a7c15u >> 56];
      static_assert(sizeof last == 256 && max_events == 64);
      if (events[i].bytes != 0) {
        known = static_cast<std::uint8_t>(i);
      } else if (events[known].address == address && events[known].bytes != 0 && !has(known)) {
        partner[known] = static_cast<std::uint8_t>(i);
        partner[i] = known;
        found |= std::uint64_t{1} << known | std::uint64_t{1} << i;
      }
    }
  }
  bool has(std::uint32_t event) const noexcept { return (found >> event & 1) != 0; }
};

/// Calls `visit(event)` for the events without a partner.
template <class Visit>
void for_single(const Batch& batch, const Pairs& pairs, Visit&& visit) {
  const std::uint64_t all = ~std::uint64_t{0} >> (max_events - batch.count);
  for (std::uint64_t left = ~pairs.found & all; left != 0; left &= left - 1) visit(batch[std::countr_zero(left)]);
}

// All that the batch will touch is under way before any of it is needed.
void fetch(Writer& writer, const Shard& shard, const Batch& batch, const Pairs& pairs) {
  for_single(batch, pairs, [&](const PendingEvent& e) { shard.blocks.prefetch(e.address, space); });
  if (shard.blocks.size() < many_blocks) return;
  for_single(batch, pairs, [&](const PendingEvent& event) {
    if (event.bytes != 0) return;
    if (const BlockIndex::Position position = shard.blocks.find(event.address, space)) {
      const auto* const block = reinterpret_cast<const std::byte*>(writer.block(position.entry().slot()));
      __builtin_prefetch(block, 1);
      __builtin_prefetch(block + sizeof(trace::Block) - 1, 1);
    }
  });
}

void set(std::uint64_t& word, std::uint64_t value) noexcept {
  std::atomic_ref(word).store(value, std::memory_order_release);
}

// A process may be killed at any instruction: `booked_until` says how far this has come.
void book(Writer& writer, Shard& shard, std::span<const Head> heads, const Batch& batch) {
  const std::int16_t device = heads[0].ring->device;
  if (shard.device == nullptr) [[unlikely]]
    shard.device = device_state(writer, Layer::tensor, Kind::block, device);
  std::uint64_t nowhere;  // without an account all events are lost, and counted as that
  std::uint64_t& booked_until = shard.device == nullptr ? nowhere : shard.device->all.account->booking;
  set(booked_until, batch[0].time - 1);
  const Pairs pairs(batch);
  fetch(writer, shard, batch, pairs);
  SiteRef sites[max_events];  // of the allocations with a partner
  for (std::uint32_t i = 0; i < batch.count; ++i) {
    const PendingEvent& event = batch[i];
    const Moment moment{event.time, event.step, event.thread};
    if (pairs.has(i) && event.bytes != 0) {
      const SiteKey key{event.stack, event.forward, Layer::tensor, Kind::block, device};
      sites[i] = pass_in(writer, shard, key, {event.address, event.bytes}, event.reserved_bytes, moment);
    } else if (pairs.has(i)) {
      const std::uint8_t partner = pairs.partner[i];  // NOLINT(clang-analyzer-core.uninitialized.Assign): has(i)
      const PendingEvent& allocated = batch[partner];
      pass_out(writer, shard, sites[partner], {event.address, allocated.bytes}, event.reserved_bytes,
               event.step - allocated.step >= trace::late_steps, moment);
    } else if (event.bytes != 0) {
      put_in(writer, shard, {Layer::tensor, Kind::block, device, event.address, event.bytes, 0, event.reserved_bytes},
             event.stack, event.forward, moment);
    } else {
      free_block(writer, shard, event.address, space, event.reserved_bytes, moment);
    }
    set(booked_until, event.time);
  }
  for (const Head& head : heads) set(head.ring->pending->booked, head.ring->from);
  set(booked_until, 0);
}

// ---- what waits, of all threads, in the order of time ------------------------------------------------------------

std::uint64_t written(const Ring& ring) noexcept {
  return std::atomic_ref(ring.pending->written).load(std::memory_order_acquire);
}

/// The rings in which something waits.
std::span<Head> heads_of(const Shard& shard) {
  const bool alone = shard.ring_count == 1;
  std::uint64_t last = 0;
  for (Ring* ring = shard.rings; ring != nullptr; ring = ring->next_of_shard) {
    ring->to = written(*ring);
    if (ring->to - ring->from > trace::pending_events) ring->to = ring->from;  // the trace was truncated: zeros
    if (alone || ring->from == ring->to) continue;
    if (ring->event(ring->to - 1).time > last) last = ring->event(ring->to - 1).time;
    if (ring != t_hot.ring)  // these lines are in another core's cache
      for (std::uint64_t n = ring->from; n < ring->to; ++n) __builtin_prefetch(&ring->event(n));
  }
  std::size_t count = 0;
  for (Ring* ring = shard.rings; ring != nullptr; ring = ring->next_of_shard) {
    // What came after the ring was looked at, and is older than what was seen in another.
    if (!alone)
      for (const std::uint64_t now = written(*ring); ring->to < now && ring->event(ring->to).time <= last;) ++ring->to;
    if (ring->from == ring->to) continue;
    shard.heads[count].ring = ring;
    shard.heads[count++].look();
  }
  return {shard.heads, count};
}

/// The ring whose next event is the oldest; `others`: when the next one of another ring was.
Head& oldest(std::span<Head> heads, std::uint64_t& others) {
  Head* found = &heads[0];
  std::uint64_t best = found->time;
  others = Head::never;
  for (Head& head : heads.subspan(1)) {
    const std::uint64_t time = head.time;
    others = time < best ? best : time < others ? time : others;
    found = time < best ? &head : found;
    best = time < best ? time : best;
  }
  return *found;
}

/// Moves the next events, in the order of time, into the batch.
void fill(Shard& shard, std::span<Head> heads, Batch& batch) {
  while (batch.count < max_events) {
    std::uint64_t others;
    Head& head = oldest(heads, others);
    if (head.time == Head::never) return;
    Ring& ring = *head.ring;
    while (ring.from != ring.to && batch.count < max_events) {
      PendingEvent& event = ring.event(ring.from);
      const std::uint64_t time = event.time;
      if (time > others) break;
      // Its thread may have been held up between reading the clock and putting it there.
      const std::uint64_t stamp = shard.stamp(time);
      if (stamp != time) [[unlikely]]
        set(event.time, stamp);
      batch.events[batch.count++] = &event;
      ++ring.from;
    }
    head.look();
  }
}

// ---- rings and threads ---------------------------------------------------------------------------------------------

constinit Arena g_arena;              // of Ring
constinit std::uint32_t g_rings = 0;  // in the trace
constinit ThreadEnd g_thread_end;

thread_local Ring* t_rings = nullptr;  // all of this thread

void thread_ended(void*) noexcept {
  for (Ring* ring = t_rings; ring != nullptr;) {
    Ring* const next = ring->next_of_thread;
    const LockGuard guard(shard_of(Layer::tensor, ring->device)->lock);
    ring->has_thread = false;
    ring = next;
  }
  t_hot.ring = t_rings = nullptr;
}

bool make_heads(Shard& shard) {
  if (shard.ring_count < shard.head_room) return true;
  const std::uint32_t room = 2 * shard.head_room + 8;
  Head* const heads = g_arena.make_array<Head>(room);  // the old one is left behind
  if (heads == nullptr) return false;
  shard.heads = heads;
  shard.head_room = room;
  return true;
}

// Under the shard's lock.
Ring* take_ring(Writer& writer, Shard& shard, std::int16_t device) {
  for (Ring* ring = shard.rings; ring != nullptr; ring = ring->next_of_shard)
    if (!ring->has_thread) return ring;
  const LockGuard guard(g_registry_lock);
  g_thread_end.init(thread_ended);
  trace::Pending* const pending = writer.pending(g_rings);
  Ring* const ring = pending == nullptr ? nullptr : static_cast<Ring*>(g_arena.allocate(sizeof(Ring), alignof(Ring)));
  if (ring == nullptr || !make_heads(shard)) return nullptr;
  ++g_rings;
  ++shard.ring_count;
  pending->device = ring->device = device;
  ring->pending = pending;
  ring->next_of_shard = shard.rings;
  shard.rings = ring;
  g_tensor_devices.fetch_or(std::uint64_t{1} << device);
  return ring;
}

}  // namespace

constinit std::atomic<std::uint64_t> g_tensor_devices{0};

bool find_ring(Writer& writer, Shard& shard, std::int16_t device) noexcept {
  Ring* ring = t_rings;
  while (ring != nullptr && ring->device != device) ring = ring->next_of_thread;
  if (ring == nullptr) {
    {
      const LockGuard guard(shard.lock);
      ring = take_ring(writer, shard, device);
      if (ring == nullptr) return false;
      ring->has_thread = true;
    }
    g_thread_end.watch(ring);
    ring->next_of_thread = t_rings;
    t_rings = ring;
  }
  t_hot.ring = ring;
  t_hot.device = static_cast<std::int8_t>(device);
  t_hot.pending = ring->pending;
  t_hot.room_until = ring->pending->written;  // not known yet
  return true;
}

void forget_rings() noexcept {
  t_hot.ring = t_rings = nullptr;
  g_arena.forget();
  g_rings = 0;
  g_tensor_devices.store(0);
}

[[gnu::noinline]] void book_pending(Writer& writer, Shard& shard) noexcept {
  const std::span<Head> heads = heads_of(shard);
  if (heads.empty()) return;
  for (;;) {
    Batch batch;
    fill(shard, heads, batch);
    if (batch.count == 0) return;
    if (!is_on(Part::booking)) {
      for (const Head& head : heads) set(head.ring->pending->booked, head.ring->from);
      continue;
    }
    book(writer, shard, heads, batch);
  }
}

void book_unless_busy(Writer& writer, Shard& shard) noexcept {
  if (!shard.lock.try_lock()) return;
  book_pending(writer, shard);
  shard.lock.unlock();
}

void make_room(Writer& writer, Shard& shard) noexcept {
  trace::Pending& pending = *t_hot.pending;
  for (int tries = 0;; ++tries) {
    t_hot.room_until = std::atomic_ref(pending.booked).load(std::memory_order_acquire) + trace::pending_events;
    if (t_hot.room_until != pending.written) return;
    // Threads that do nothing but allocate are faster than one can book: who books has much to do, so none waits awake.
    if (tries > 0) rest();
    book_unless_busy(writer, shard);
  }
}

}  // namespace vramtrack::ledger
