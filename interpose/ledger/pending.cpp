// See pending.hpp.
#include "interpose/ledger/pending.hpp"

#include <bit>

#include "interpose/ledger/booking.hpp"
#include "interpose/trace/counters.hpp"

namespace vramtrack::ledger {

namespace {

using trace::Pending;
using trace::PendingEvent;
using trace::Writer;

constexpr std::uint32_t space = address_space(Kind::block);
constexpr std::size_t many_blocks = 8192;  // whose index and records are not in the nearer caches
constexpr std::uint32_t max_events = trace::pending_events;

/// Allocations and frees of one batch that belong together: most blocks of a program live for less than that. A pair
/// that is not found is booked as any other block.
struct Pairs {
  std::uint64_t found = 0;  // bit i: event i has a partner
  std::uint8_t partner[max_events];

  Pairs(const PendingEvent* events, std::uint32_t count) noexcept {
    std::uint8_t last[4 * max_events] = {};  // the last allocation by the hash of its address
    for (std::uint32_t i = 0; i < count; ++i) {
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
void for_single(const PendingEvent* events, std::uint32_t count, const Pairs& pairs, Visit&& visit) {
  const std::uint64_t all = ~std::uint64_t{0} >> (max_events - count);
  for (std::uint64_t left = ~pairs.found & all; left != 0; left &= left - 1) visit(events[std::countr_zero(left)]);
}

// All that the batch will touch is under way before any of it is needed.
void fetch(Writer& writer, const Shard& shard, const PendingEvent* events, std::uint32_t count, const Pairs& pairs) {
  for_single(events, count, pairs, [&](const PendingEvent& e) { shard.blocks.prefetch(e.address, space); });
  if (shard.blocks.size() < many_blocks) return;
  for_single(events, count, pairs, [&](const PendingEvent& event) {
    if (event.bytes != 0) return;
    if (const BlockIndex::Position position = shard.blocks.find(event.address, space)) {
      const auto* const block = reinterpret_cast<const std::byte*>(writer.block(position.entry().slot()));
      __builtin_prefetch(block, 1);
      __builtin_prefetch(block + sizeof(trace::Block) - 1, 1);
    }
  });
}

}  // namespace

bool open_pending(Writer& writer, Shard& shard, std::int16_t device) noexcept {
  auto* const pending = reinterpret_cast<Pending*>(writer.add_extents(trace::ExtentType::pending, 1));
  if (pending == nullptr) return false;
  pending->device = device;
  shard.pending = pending;
  return true;
}

[[gnu::noinline]] void book_pending(Writer& writer, Shard& shard) noexcept {
  const std::uint32_t count = shard.pending_count;
  if (count == 0) return;
  Pending& pending = *shard.pending;
  std::atomic_ref(pending.batches).fetch_add(1, std::memory_order_release);
  const Pairs pairs(pending.events, count);
  fetch(writer, shard, pending.events, count, pairs);
  SiteRef sites[max_events];  // of the allocations with a partner
  for (std::uint32_t i = 0; i < count; ++i) {
    PendingEvent& event = pending.events[i];
    const Moment moment{event.time, event.step, event.thread};
    if (pairs.has(i) && event.bytes != 0) {
      const SiteKey key{event.stack, event.forward, Layer::tensor, Kind::block, pending.device};
      sites[i] = pass_in(writer, shard, key, {event.address, event.bytes}, event.reserved_bytes, moment);
    } else if (pairs.has(i)) {
      const std::uint8_t partner = pairs.partner[i];
      const PendingEvent& allocated = pending.events[partner];
      pass_out(writer, shard, sites[partner], {event.address, allocated.bytes}, event.reserved_bytes,
               event.step - allocated.step >= trace::late_steps, moment);
    } else if (event.bytes != 0) {
      put_in(writer, shard,
             {Layer::tensor, Kind::block, pending.device, event.address, event.bytes, 0, event.reserved_bytes},
             event.stack, event.forward, moment);
    } else {
      free_block(writer, shard, event.address, space, event.reserved_bytes, moment);
    }
    std::atomic_ref(event.time).store(0, std::memory_order_release);
  }
  shard.pending_count = 0;
  std::atomic_ref(pending.batches).fetch_add(1, std::memory_order_release);
}

}  // namespace vramtrack::ledger
