// See pending.hpp.
#include "interpose/ledger/pending.hpp"

#include "interpose/ledger/booking.hpp"

namespace vramtrack::ledger {

namespace {

using trace::Pending;
using trace::PendingEvent;
using trace::Writer;

constexpr std::uint32_t space = address_space(Kind::block);
constexpr std::size_t many_blocks = 8192;  // whose index and records are not in the nearer caches

// All that the batch will touch is under way before any of it is needed.
void fetch(Writer& writer, const Shard& shard, const PendingEvent* events, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) shard.blocks.prefetch(events[i].address, space);
  if (shard.blocks.size() < many_blocks) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (events[i].bytes != 0) continue;
    if (const BlockIndex::Position position = shard.blocks.find(events[i].address, space)) {
      const auto* const block = reinterpret_cast<const std::byte*>(writer.block(position.entry().slot()));
      __builtin_prefetch(block, 1);
      __builtin_prefetch(block + sizeof(trace::Block) - 1, 1);
    }
  }
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
  fetch(writer, shard, pending.events, count);
  for (std::uint32_t i = 0; i < count; ++i) {
    PendingEvent& event = pending.events[i];
    const Moment moment{event.time, event.step, event.thread};
    if (event.bytes != 0)
      put_in(writer, shard,
             {Layer::tensor, Kind::block, pending.device, event.address, event.bytes, 0, event.reserved_bytes},
             event.stack, event.forward, moment);
    else
      free_block(writer, shard, event.address, space, event.reserved_bytes, moment);
    std::atomic_ref(event.time).store(0, std::memory_order_release);
  }
  shard.pending_count = 0;
  std::atomic_ref(pending.batches).fetch_add(1, std::memory_order_release);
}

}  // namespace vramtrack::ledger
