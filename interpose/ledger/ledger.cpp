// See ledger.hpp. Each function takes the active writer once; a shard's lock is held over one event or the booking of
// those that wait, and nothing outside this library is called under it.
#include "interpose/ledger/ledger.hpp"

#include <sched.h>

#include "interpose/core/thread_id.hpp"
#include "interpose/ledger/booking.hpp"
#include "interpose/ledger/history.hpp"
#include "interpose/ledger/pending.hpp"
#include "interpose/trace/parts.hpp"

namespace vramtrack::ledger {

constinit Shard g_shards[1 + max_devices];
constinit SpinLock g_registry_lock;

using trace::Block;
using trace::Site;
using trace::Writer;

void reset() noexcept {
  // The old tables are leaked on purpose: a thread that held a lock may have left them half-changed.
  for (Shard& shard : g_shards) {
    shard.lock.reset();
    shard.free_slots = 0;
    shard.fresh_slot = shard.fresh_end = 0;
    shard.last_time = 0;
    shard.device = nullptr;
    shard.rings = nullptr;
    shard.heads = nullptr;
    shard.ring_count = shard.head_room = 0;
    shard.blocks = BlockIndex();
    shard.sites = TagTable();
    for (Shard::KnownSite& known : shard.known_sites) known = {};
  }
  g_registry_lock.reset();
  forget_rings();
  forget_accounts();
  forget_history();
  forget_thread_id();
}

void add(const AllocEvent& event, StackId stack, StackId forward) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr || event.address == 0 || !is_on(Part::waiting)) return;
  Shard* const shard = shard_of(event.layer, event.device);
  if (shard == nullptr) return count_loss(writer->header().losses.dropped_events);
  const std::uint64_t read = ticks();
  const std::uint32_t step = current_step(writer->header()), thread = thread_id();
  if (event.layer == Layer::tensor && event.bytes != 0 &&
      defer(*writer, *shard, event.device,
            {event.address, event.bytes, event.reserved_bytes, read, stack, forward, step, thread})) [[likely]]
    return;
  const LockGuard guard(shard->lock);
  book_pending(*writer, *shard);
  put_in(*writer, *shard, event, stack, forward, {shard->stamp(read), step, thread});
}

Removed remove(const FreeEvent& event) noexcept {
  Removed removed{};
  Writer* const writer = trace::active();
  if (writer == nullptr || event.address == 0) return removed;
  Shard* const shard = shard_of(event.layer, event.device);
  if (shard == nullptr) {
    count_loss(writer->header().losses.unknown_frees);
    return removed;
  }
  const LockGuard guard(shard->lock);
  book_pending(*writer, *shard);
  const BlockIndex::Position position = shard->blocks.find(event.address, address_space(event.kind));
  if (!position) [[unlikely]] {
    count_loss(writer->header().losses.unknown_frees);
    return removed;
  }
  const BlockEntry entry = position.entry();
  removed = {true, *writer->block(entry.slot()), writer->site(entry.site)};
  take_out(*writer, *shard, position, event.reserved_bytes, {shard->stamp(), current_step(writer->header()), 0});
  return removed;
}

void drop(const FreeEvent& event) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr || event.address == 0 || !is_on(Part::waiting)) return;
  Shard* const shard = shard_of(event.layer, event.device);
  if (shard == nullptr) return count_loss(writer->header().losses.unknown_frees);
  const std::uint64_t read = ticks();
  const std::uint32_t step = current_step(writer->header());
  if (event.layer == Layer::tensor &&
      defer(*writer, *shard, event.device,
            {event.address, 0, event.reserved_bytes, read, no_stack, no_stack, step, t_hot.in_node})) [[likely]]
    return;
  const LockGuard guard(shard->lock);
  book_pending(*writer, *shard);
  free_block(*writer, *shard, event.address, address_space(event.kind), event.reserved_bytes,
             {shard->stamp(read), step, t_hot.in_node});
}

void restore(const Removed& removed) noexcept {
  Writer* const writer = trace::active();
  if (!removed.found || writer == nullptr) return;
  Site& site = *removed.site;
  Shard* const shard = shard_of(static_cast<Layer>(site.layer), site.device);
  if (shard == nullptr) return;
  const LockGuard guard(shard->lock);
  book_pending(*writer, *shard);
  const Moment now{shard->stamp(), current_step(writer->header()), removed.block.thread};
  if (!put_back(*writer, *shard, removed.block, site, now)) count_loss(writer->header().losses.dropped_events);
}

void remove_device(std::int16_t device) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return;
  Shard& shard = g_shards[0];
  const LockGuard guard(shard.lock);
  const std::uint64_t slots = std::atomic_ref(writer->header().block_slots).load(std::memory_order_acquire);
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    Block& block = *writer->block(slot);
    if (std::atomic_ref(block.address).load(std::memory_order_acquire) == 0) continue;
    // A slot of another shard is never taken for ours: slots stay with their shard, sites with their layer.
    Site& site = *writer->site(block.site);
    if (site.layer != static_cast<std::uint8_t>(Layer::cuda) || site.device != device) continue;
    const std::uint64_t address = block.address;
    const BlockIndex::Position position = shard.blocks.find(address, address_space(static_cast<Kind>(site.kind)));
    if (!position) continue;
    if (position.entry().slot() != slot) continue;
    take_out(*writer, shard, position, 0, {shard.stamp(), current_step(writer->header()), 0});
  }
}

Found find(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) noexcept {
  Writer* const writer = trace::active();
  Shard* const shard = shard_of(layer, device);
  if (writer == nullptr || shard == nullptr || address == 0) return {};
  const LockGuard guard(shard->lock);
  book_pending(*writer, *shard);
  const BlockIndex::Position position = shard->blocks.find(address, address_space(kind));
  if (!position) return {};
  const Block& block = *writer->block(position.entry().slot());
  return {block.site, block.time, block.bytes};
}

std::uint64_t live_bytes_of(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) noexcept {
  return find(layer, device, kind, address).bytes;
}

void set_mapping(std::uint64_t handle, std::uint64_t address) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr || handle == 0) return;
  Shard& shard = g_shards[0];
  const LockGuard guard(shard.lock);
  const BlockIndex::Position position = shard.blocks.find(handle, address_space(Kind::vmm));
  if (position) writer->block(position.entry().slot())->stream = address;
}

void book_waiting() noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return;
  for_tensor_shards([writer](Shard& shard) {
    const LockGuard guard(shard.lock);
    book_pending(*writer, shard);
  });
}

void flush() noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return;
  for_tensor_shards([writer](Shard& shard) {
    // Who ends the process may have been interrupted under this lock. What is left in the file is read from there.
    for (int tries = 0; tries < 1000; ++tries) {
      if (shard.lock.try_lock()) {
        book_pending(*writer, shard);
        shard.lock.unlock();
        break;
      }
      ::sched_yield();
    }
  });
  flush_history();
}

void step() noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return;
  std::atomic_ref(writer->header().step_source).store(1, std::memory_order_relaxed);
  std::atomic_ref(writer->header().steps).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace vramtrack::ledger
