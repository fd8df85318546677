// See ledger.hpp. Each function takes the active writer once; a shard's lock is held over one event, and nothing
// outside this library is called under it.
#include "interpose/ledger.hpp"

#include "interpose/ledger/history.hpp"
#include "interpose/ledger/state.hpp"
#include "interpose/support/thread_id.hpp"

namespace vramtrack::ledger {

constinit Shard g_shards[1 + max_devices];
constinit SpinLock g_registry_lock;

namespace {

using trace::Account;
using trace::Block;
using trace::Header;
using trace::Site;
using trace::Writer;

constexpr std::uint32_t slot_batch = 32;

// Which addresses can be equal without being the same thing (FreeEvent::kind).
constexpr std::uint32_t address_space(Kind kind) {
  switch (kind) {
    case Kind::host_pinned:
    case Kind::registered:
      return 1;
    case Kind::array:
      return 2;
    case Kind::vmm:
      return 3;
    default:
      return 0;
  }
}

std::uint32_t site_tag(const AllocEvent& event, StackId stack, StackId forward) {
  const std::uint64_t where = static_cast<std::uint64_t>(event.kind) << 16 | static_cast<std::uint16_t>(event.device);
  return static_cast<std::uint32_t>(mix64((std::uint64_t{stack} << 32 | forward) + (where << 40)) >> 16);
}

struct SiteRef {
  std::uint32_t index = TagTable::none;
  Site* site = nullptr;
};

struct SlotRef {
  std::uint32_t slot = Shard::no_slot;
  Block* block = nullptr;
};

DeviceState* accounts_of(Writer& writer, Shard& shard, Layer layer, Kind kind, std::int16_t device) {
  if (shard.device != nullptr && kind == Kind::block) [[likely]]
    return shard.device;
  DeviceState* const state = device_state(writer, layer, kind, device);
  if (layer == Layer::tensor && kind == Kind::block) shard.device = state;
  return state;
}

// ---- sites -------------------------------------------------------------------------------------------------------

[[gnu::noinline]] SiteRef new_site(Writer& writer, Shard& shard, std::uint32_t tag, const AllocEvent& event,
                                   StackId stack, StackId forward, const Account& account, std::uint64_t now) {
  const LockGuard guard(g_registry_lock);
  Header& header = writer.header();
  const auto index = static_cast<std::uint32_t>(header.sites);
  Site* const site = writer.site(index);
  if (site == nullptr || !shard.sites.insert(tag, index)) return {};
  site->stack = stack;
  site->forward = forward;
  site->layer = static_cast<std::uint8_t>(event.layer);
  site->kind = static_cast<std::uint8_t>(event.kind);
  site->device = event.device;
  site->first_time = now;
  site->first_step = current_step(header);
  site->peak_epoch = account.peak_epoch;  // it held nothing at the last peak
  std::atomic_ref(site->used).store(1, std::memory_order_release);
  std::atomic_ref(header.sites).store(index + 1, std::memory_order_release);
  return {index, site};
}

[[gnu::noinline]] SiteRef search_site(Writer& writer, Shard& shard, const AllocEvent& event, StackId stack,
                                      StackId forward, const Account& account, std::uint64_t now) {
  const std::uint32_t tag = site_tag(event, stack, forward);
  SiteRef known;
  known.index = shard.sites.find(tag, [&](std::uint32_t index) {
    const Site& site = *(known.site = writer.site(index));
    return site.stack == stack && site.forward == forward && site.kind == static_cast<std::uint8_t>(event.kind) &&
           site.device == event.device;
  });
  if (known.index != TagTable::none) [[likely]]
    return known;
  return new_site(writer, shard, tag, event, stack, forward, account, now);
}

SiteRef site_of(Writer& writer, Shard& shard, const AllocEvent& event, StackId stack, StackId forward,
                const Account& account, std::uint64_t now) {
  Shard::KnownSite& known = shard.known_sites[(stack + 7 * forward) % std::size(shard.known_sites)];
  if (known.stack == stack && known.site != nullptr && known.forward == forward && known.kind == event.kind &&
      known.device == event.device) [[likely]]
    return {known.index, known.site};
  const SiteRef found = search_site(writer, shard, event, stack, forward, account, now);
  known = {found.site, found.index, stack, forward, event.kind, event.device};
  return found;
}

// Before a site's bytes change: keep what it held at the last peak, unless that was done since.
void keep_peak(Site& site, const Account& account) {
  if (site.peak_epoch == account.peak_epoch) return;
  site.at_peak_bytes = site.live_bytes;
  site.at_peak_count = site.live_count;
  site.peak_epoch = account.peak_epoch;
}

// ---- slots -------------------------------------------------------------------------------------------------------

[[gnu::noinline]] SlotRef fresh_slot(Writer& writer, Shard& shard) {
  if (shard.fresh_slot == shard.fresh_end) {
    const LockGuard guard(g_registry_lock);
    std::uint64_t& slots = writer.header().block_slots;
    if (slots + slot_batch > max_slots) return {};
    const auto first = static_cast<std::uint32_t>(slots);
    if (writer.block(first + slot_batch - 1) == nullptr) return {};
    shard.fresh_slot = first;
    shard.fresh_end = first + slot_batch;
    std::atomic_ref(slots).store(shard.fresh_end, std::memory_order_release);
  }
  const std::uint32_t slot = shard.fresh_slot++;
  return {slot, writer.block(slot)};
}

SlotRef take_slot(Writer& writer, Shard& shard) {
  const std::uint32_t slot = shard.free_slots;
  if (slot == Shard::no_slot) [[unlikely]]
    return fresh_slot(writer, shard);
  Block* const block = writer.block(slot);
  shard.free_slots = static_cast<std::uint32_t>(block->bytes);
  return {slot, block};
}

void give_slot(Shard& shard, std::uint32_t slot, Block& block) {
  block.bytes = shard.free_slots;
  shard.free_slots = slot;
}

void set_address(Block& block, std::uint64_t address) {
  std::atomic_ref(block.address).store(address, std::memory_order_release);
}

// ---- booking -----------------------------------------------------------------------------------------------------

// Applies `change(account)` to the one or two accounts of a kind, with the time series.
template <class Change>
void change_accounts(Header& header, DeviceState& device, Kind kind, std::uint64_t now, Change&& change) {
  const auto apply = [&](AccountState& state) {
    const std::uint64_t level = state.account->live_bytes;
    change(*state.account);
    if (state.timeline != nullptr) timeline_event(header, state, now, level);
  };
  if (trace::is_device_memory(kind)) apply(device.all);
  if (kind != Kind::block) apply(device.of(kind));
}

void raise_peak(Account& account, Header& header, std::uint64_t now) {
  if (account.live_bytes <= account.peak_bytes) return;
  account.peak_bytes = account.live_bytes;
  account.peak_time = now;
  account.peak_step = current_step(header);
  ++account.peak_epoch;
}

void set_reserved(Account& account, std::uint64_t reserved) {
  account.reserved_bytes = reserved;
  if (reserved > account.peak_reserved_bytes) account.peak_reserved_bytes = reserved;
}

// The event history sees what was booked, in the order in which it was.
void keep_event(Shard& shard, std::uint64_t address, std::uint64_t bytes, std::uint32_t site, std::uint64_t now,
                std::uint32_t step, bool is_free) {
  if (!history_is_on()) [[likely]]
    return;
  HistoryRing* const ring = history_ring(static_cast<std::uint32_t>(&shard - g_shards));
  if (ring != nullptr && ring->put({now, address, bytes, site, step << 1 | (is_free ? 1u : 0u)})) wake_history();
}

constexpr std::uint32_t late_steps = 2;  // see Site::freed_late

// A block has left the index: empties its slot, which is written only, and books the free.
void book_free(Writer& writer, Shard& shard, std::uint64_t address, const BlockEntry& entry, Block& block, Site& site,
               std::uint64_t reserved, std::uint64_t now) {
  const std::uint64_t bytes = entry.bytes() != BlockEntry::huge ? entry.bytes() : block.bytes;
  const std::uint32_t step = current_step(writer.header());
  keep_event(shard, address, bytes, entry.site, now, step, true);
  if (entry.age(step) >= late_steps) ++site.freed_late;
  set_address(block, 0);
  give_slot(shard, entry.slot(), block);
  const auto kind = static_cast<Kind>(site.kind);
  const auto layer = static_cast<Layer>(site.layer);
  DeviceState* const device = accounts_of(writer, shard, layer, kind, site.device);
  if (device == nullptr) return;
  keep_peak(site, device->peak_account(kind));
  site.live_bytes -= bytes;
  --site.live_count;
  site.freed_bytes += bytes;
  ++site.freed_count;
  site.last_free_time = now;
  change_accounts(writer.header(), *device, kind, now, [&](Account& account) {
    account.live_bytes -= bytes;
    --account.live_count;
    account.freed_bytes += bytes;
    ++account.freed_count;
    if (layer == Layer::tensor) set_reserved(account, reserved);
  });
}

// Stores the block in its slot; it appears with its address.
void store_block(Block& stored, const Block& block) {
  stored.bytes = block.bytes;
  stored.time = block.time;
  stored.stream = block.stream;
  stored.site = block.site;
  stored.step = block.step;
  stored.thread = block.thread;
  stored.flags = 0;
  set_address(stored, block.address);
}

void book_alloc(Writer& writer, DeviceState& device, Site& site, const Block& block, std::uint64_t reserved) {
  const auto kind = static_cast<Kind>(site.kind);
  const std::uint64_t bytes = block.bytes;
  keep_peak(site, device.peak_account(kind));
  site.live_bytes += bytes;
  ++site.live_count;
  if (site.live_bytes > site.own_peak_bytes) site.own_peak_bytes = site.live_bytes;
  site.allocated_bytes += bytes;
  ++site.allocated_count;
  if (bytes > site.largest_bytes) site.largest_bytes = bytes;
  site.last_time = block.time;
  site.last_step = block.step;
  change_accounts(writer.header(), device, kind, block.time, [&](Account& account) {
    account.live_bytes += bytes;
    ++account.live_count;
    account.allocated_bytes += bytes;
    ++account.allocated_count;
    if (site.layer == static_cast<std::uint8_t>(Layer::tensor)) set_reserved(account, reserved);
    raise_peak(account, writer.header(), block.time);
  });
}

// Takes back what book_free did: the block had been live all the time.
void book_again(Writer& writer, DeviceState& device, Site& site, const Block& block, std::uint64_t now) {
  const auto kind = static_cast<Kind>(site.kind);
  const std::uint64_t bytes = block.bytes;
  keep_peak(site, device.peak_account(kind));
  site.live_bytes += bytes;
  ++site.live_count;
  if (site.live_bytes > site.own_peak_bytes) site.own_peak_bytes = site.live_bytes;
  site.freed_bytes -= bytes;
  --site.freed_count;
  if (current_step(writer.header()) - block.step >= late_steps && site.freed_late > 0) --site.freed_late;
  change_accounts(writer.header(), device, kind, now, [&](Account& account) {
    account.live_bytes += bytes;
    ++account.live_count;
    account.freed_bytes -= bytes;
    --account.freed_count;
    raise_peak(account, writer.header(), now);  // others may have allocated meanwhile
  });
}

}  // namespace

// ---- interface ---------------------------------------------------------------------------------------------------

void reset() noexcept {
  // The old tables are leaked on purpose: a thread that held a lock may have left them half-changed.
  for (Shard& shard : g_shards) {
    shard.lock.reset();
    shard.free_slots = Shard::no_slot;
    shard.fresh_slot = shard.fresh_end = 0;
    shard.last_time = 0;
    shard.device = nullptr;
    shard.blocks = BlockIndex();
    shard.sites = TagTable();
    for (Shard::KnownSite& known : shard.known_sites) known = {};
  }
  g_registry_lock.reset();
  forget_accounts();
  forget_history();
  forget_thread_id();
}

void add(const AllocEvent& event, StackId stack, StackId forward) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr || event.address == 0) return;
  Header& header = writer->header();
  Shard* const shard = shard_of(event.layer, event.device);
  if (shard == nullptr) return count_loss(header.losses.dropped_events);
  Block block{};
  block.address = event.address;
  block.bytes = event.bytes;
  block.stream = event.stream;
  block.thread = thread_id();

  const std::uint32_t space = address_space(event.kind);
  const LockGuard guard(shard->lock);
  DeviceState* const device = accounts_of(*writer, *shard, event.layer, event.kind, event.device);
  if (device == nullptr) return count_loss(header.losses.dropped_events);
  block.time = shard->stamp();
  block.step = current_step(header);
  const SiteRef site = site_of(*writer, *shard, event, stack, forward, device->peak_account(event.kind), block.time);
  const SlotRef slot = site.site == nullptr ? SlotRef{} : take_slot(*writer, *shard);
  if (slot.block == nullptr) [[unlikely]]
    return count_loss(header.losses.dropped_events);
  block.site = site.index;

  bool known;
  const BlockIndex::Position position = shard->blocks.add(event.address, space, known);
  if (!position) [[unlikely]] {
    give_slot(*shard, slot.slot, *slot.block);
    return count_loss(header.losses.dropped_events);
  }
  if (known) [[unlikely]] {  // its free was not seen
    count_loss(header.losses.replaced_blocks);
    const BlockEntry stale = position.entry();
    book_free(*writer, *shard, event.address, stale, *writer->block(stale.slot()), *writer->site(stale.site),
              event.reserved_bytes, block.time);
  }
  position.store(event.address, BlockEntry::of(space, block.bytes, block.step, slot.slot, site.index));
  store_block(*slot.block, block);
  book_alloc(*writer, *device, *site.site, block, event.reserved_bytes);
  keep_event(*shard, block.address, block.bytes, block.site, block.time, block.step, false);
}

void prefetch(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) noexcept {
  const Shard* const shard = shard_of(layer, device);
  if (shard != nullptr) shard->blocks.prefetch(address, address_space(kind));
}

namespace {

// Books a free; `removed` (when the caller wants to know) is filled in. Only then is the block's record read.
void take_out(const FreeEvent& event, Removed* removed) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr || event.address == 0) return;
  Shard* const shard = shard_of(event.layer, event.device);
  if (shard == nullptr) return count_loss(writer->header().losses.unknown_frees);
  const std::uint32_t space = address_space(event.kind);
  shard->blocks.prefetch(event.address, space);
  const LockGuard guard(shard->lock);
  const BlockIndex::Position position = shard->blocks.find(event.address, space);
  if (!position) [[unlikely]]
    return count_loss(writer->header().losses.unknown_frees);
  const BlockEntry entry = position.entry();
  Block& block = *writer->block(entry.slot());
  __builtin_prefetch(&block, 1);
  __builtin_prefetch(&block.flags, 1);
  shard->blocks.erase(position);
  Site& site = *writer->site(entry.site);
  if (removed != nullptr) {
    removed->found = true;
    removed->block = block;
    removed->site = &site;
  }
  book_free(*writer, *shard, event.address, entry, block, site, event.reserved_bytes, shard->stamp());
}

}  // namespace

Removed remove(const FreeEvent& event) noexcept {
  Removed removed{};
  take_out(event, &removed);
  return removed;
}

void drop(const FreeEvent& event) noexcept { take_out(event, nullptr); }

void restore(const Removed& removed) noexcept {
  Writer* const writer = trace::active();
  if (!removed.found || writer == nullptr) return;
  Site& site = *removed.site;
  const auto kind = static_cast<Kind>(site.kind);
  const auto layer = static_cast<Layer>(site.layer);
  Shard* const shard = shard_of(layer, site.device);
  if (shard == nullptr) return;
  const LockGuard guard(shard->lock);
  DeviceState* const device = accounts_of(*writer, *shard, layer, kind, site.device);
  const SlotRef slot = device == nullptr ? SlotRef{} : take_slot(*writer, *shard);
  if (slot.block == nullptr) return count_loss(writer->header().losses.dropped_events);
  const Block& block = removed.block;
  const std::uint32_t space = address_space(kind);
  bool known = false;
  const BlockIndex::Position position = shard->blocks.add(block.address, space, known);
  if (!position || known) {
    give_slot(*shard, slot.slot, *slot.block);
    return count_loss(writer->header().losses.dropped_events);
  }
  position.store(block.address, BlockEntry::of(space, block.bytes, block.step, slot.slot, block.site));
  store_block(*slot.block, block);
  const std::uint64_t now = shard->stamp();
  book_again(*writer, *device, site, removed.block, now);
  keep_event(*shard, block.address, block.bytes, block.site, now, current_step(writer->header()), false);
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
    const BlockEntry entry = position.entry();
    if (entry.slot() != slot) continue;
    shard.blocks.erase(position);
    book_free(*writer, shard, address, entry, block, site, 0, shard.stamp());
  }
}

std::uint64_t live_bytes_of(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) noexcept {
  Writer* const writer = trace::active();
  Shard* const shard = shard_of(layer, device);
  if (writer == nullptr || shard == nullptr || address == 0) return 0;
  const LockGuard guard(shard->lock);
  const BlockIndex::Position position = shard->blocks.find(address, address_space(kind));
  return position ? writer->block(position.entry().slot())->bytes : 0;
}

void set_mapping(std::uint64_t handle, std::uint64_t address) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr || handle == 0) return;
  Shard& shard = g_shards[0];
  const LockGuard guard(shard.lock);
  const BlockIndex::Position position = shard.blocks.find(handle, address_space(Kind::vmm));
  if (position) writer->block(position.entry().slot())->stream = address;
}

void step() noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return;
  std::atomic_ref(writer->header().step_source).store(1, std::memory_order_relaxed);
  std::atomic_ref(writer->header().steps).fetch_add(1, std::memory_order_relaxed);
}

}  // namespace vramtrack::ledger
