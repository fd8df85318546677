// See pending.hpp.
#include "interpose/ledger/pending.hpp"

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
constexpr std::uint8_t nobody = 0xff;

/// Allocations and frees of one batch that belong together: most blocks of a program live for less than that.
class Pairs {
 public:
  Pairs(const PendingEvent* events, std::uint32_t count) noexcept {
    std::uint8_t table[2 * max_events];  // the last allocation of an address, by its hash
    __builtin_memset(table, nobody, sizeof table);
    for (std::uint32_t i = 0; i < count; ++i) {
      partner_[i] = nobody;
      const std::uint64_t address = events[i].address;
      std::size_t at = static_cast<std::size_t>(address * 0x9e3779b97f4a7c15u >> 57);
      static_assert(sizeof table == 128);
      while (table[at] != nobody && events[table[at]].address != address) at = (at + 1) % sizeof table;
      if (events[i].bytes != 0) {
        table[at] = static_cast<std::uint8_t>(i);
      } else if (const std::uint8_t known = table[at]; known != nobody && partner_[known] == nobody) {
        partner_[known] = static_cast<std::uint8_t>(i);
        partner_[i] = known;
      }
    }
  }
  bool has(std::uint32_t event) const noexcept { return partner_[event] != nobody; }
  std::uint8_t of(std::uint32_t event) const noexcept { return partner_[event]; }

 private:
  std::uint8_t partner_[max_events];
};

// All that the batch will touch is under way before any of it is needed.
void fetch(Writer& writer, const Shard& shard, const PendingEvent* events, std::uint32_t count, const Pairs& pairs) {
  for (std::uint32_t i = 0; i < count; ++i)
    if (!pairs.has(i)) shard.blocks.prefetch(events[i].address, space);
  if (shard.blocks.size() < many_blocks) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (events[i].bytes != 0 || pairs.has(i)) continue;
    if (const BlockIndex::Position position = shard.blocks.find(events[i].address, space)) {
      const auto* const block = reinterpret_cast<const std::byte*>(writer.block(position.entry().slot()));
      __builtin_prefetch(block, 1);
      __builtin_prefetch(block + sizeof(trace::Block) - 1, 1);
    }
  }
}

AllocEvent allocation(const Pending& pending, const PendingEvent& event) {
  return {Layer::tensor, Kind::block, pending.device, event.address, event.bytes, 0, event.reserved_bytes};
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
  SiteRef sites[max_events];
  fetch(writer, shard, pending.events, count, pairs);
  for (std::uint32_t i = 0; i < count; ++i) {
    PendingEvent& event = pending.events[i];
    const Moment moment{event.time, event.step, event.thread};
    if (event.bytes != 0 && pairs.has(i)) {
      sites[i] = pass_in(writer, shard, allocation(pending, event), event.stack, event.forward, moment);
    } else if (event.bytes != 0) {
      put_in(writer, shard, allocation(pending, event), event.stack, event.forward, moment);
    } else if (pairs.has(i)) {
      const PendingEvent& allocated = pending.events[pairs.of(i)];
      pass_out(writer, shard, sites[pairs.of(i)], allocation(pending, allocated), event.reserved_bytes,
               event.step - allocated.step >= trace::late_steps, moment);
    } else {
      free_block(writer, shard, event.address, space, event.reserved_bytes, moment);
    }
    std::atomic_ref(event.time).store(0, std::memory_order_release);
  }
  shard.pending_count = 0;
  std::atomic_ref(pending.batches).fetch_add(1, std::memory_order_release);
}

}  // namespace vramtrack::ledger
