// See booking.hpp.
#include "interpose/ledger/booking.hpp"

#include "contract/counters.hpp"
#include "interpose/ledger/history.hpp"

namespace vramtrack::ledger {

namespace {

using trace::Account;
using trace::Block;
using trace::Header;
using trace::Site;
using trace::Writer;

constexpr std::uint32_t slot_batch = 32;

std::uint32_t site_tag(const SiteKey& key) {
  const std::uint64_t where = static_cast<std::uint64_t>(key.kind) << 16 | static_cast<std::uint16_t>(key.device);
  return static_cast<std::uint32_t>(
      mix64((std::uint64_t{number_of(key.stack)} << 32 | number_of(key.forward)) + (where << 40)) >> 16);
}

struct SlotRef {
  std::uint32_t slot = 0;
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

VRAMTRACK_COLD SiteRef new_site(Writer& writer, Shard& shard, std::uint32_t tag, const SiteKey& key,
                                const Account& account, const Moment& now) {
  const LockGuard guard(g_registry_lock);
  Header& header = writer.header();
  const auto index = static_cast<std::uint32_t>(header.sites);
  Site* const site = writer.site(index);
  if (site == nullptr || !shard.sites.insert(tag, index)) return {};
  site->stack = key.stack;
  site->forward = key.forward;
  site->layer = static_cast<std::uint8_t>(key.layer);
  site->kind = static_cast<std::uint8_t>(key.kind);
  site->device = key.device;
  site->first_time = now.time;
  site->first_step = now.step;
  site->peak_epoch = account.peak_epoch;  // it held nothing at the last peak
  std::atomic_ref(site->used).store(1, std::memory_order_release);
  std::atomic_ref(header.sites).store(index + 1, std::memory_order_release);
  return {index, site};
}

[[gnu::noinline]] SiteRef search_site(Writer& writer, Shard& shard, const SiteKey& key, const Account& account,
                                      const Moment& now) {
  const std::uint32_t tag = site_tag(key);
  SiteRef known{};
  known.index = shard.sites.find(tag, [&](std::uint32_t index) {
    const Site& site = *(known.site = writer.site(index));
    return site.stack == key.stack && site.forward == key.forward && site.kind == static_cast<std::uint8_t>(key.kind) &&
           site.device == key.device;
  });
  if (known.index != TagTable::none) [[likely]]
    return known;
  return new_site(writer, shard, tag, key, account, now);
}

[[gnu::always_inline]] inline SiteRef site_of(Writer& writer, Shard& shard, const SiteKey& key, const Account& account,
                                              const Moment& now) {
  Shard::KnownSite& known =
      shard.known_sites[(number_of(key.stack) + 7 * number_of(key.forward)) % std::size(shard.known_sites)];
  if (known.key == key && known.site != nullptr) [[likely]]
    return {known.index, known.site};
  const SiteRef found = search_site(writer, shard, key, account, now);
  known = {key, found.index, found.site};
  return found;
}

// ---- slots -------------------------------------------------------------------------------------------------------

VRAMTRACK_COLD SlotRef fresh_slot(Writer& writer, Shard& shard) {
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
  if (shard.free_slots == 0) [[unlikely]]
    return fresh_slot(writer, shard);
  const std::uint32_t slot = shard.free_slots - 1;
  Block* const block = writer.block(slot);
  shard.free_slots = static_cast<std::uint32_t>(block->bytes);
  return {slot, block};
}

void give_slot(Shard& shard, std::uint32_t slot, Block& block) {
  block.bytes = shard.free_slots;
  shard.free_slots = slot + 1;
}

void set_address(Block& block, std::uint64_t address) {
  std::atomic_ref(block.address).store(address, std::memory_order_release);
}

// ---- counters ----------------------------------------------------------------------------------------------------

// Applies `change(account)` to the one or two accounts of a kind, with the time series.
template <class Change>
void change_accounts(Header& header, DeviceState& device, Kind kind, const Moment& now, Change&& change) {
  const auto apply = [&](AccountState& state) {
    const std::uint64_t level = state.account->live_bytes;
    change(*state.account);
    if (state.account->live_bytes > state.window_peak) state.window_peak = state.account->live_bytes;
    if (state.timeline != nullptr) timeline_event(header, state, now, level);
  };
  if (trace::is_device_memory(kind)) apply(device.all);
  if (kind != Kind::block) apply(device.of(kind));
}

// The event history sees what was booked, in the order in which it was.
void keep_event(Shard& shard, std::uint64_t address, std::uint64_t bytes, std::uint32_t site, const Moment& now,
                bool is_free) {
  if (!history_is_on()) [[likely]]
    return;
  HistoryRing* const ring = history_ring(static_cast<std::uint32_t>(&shard - g_shards));
  if (ring != nullptr && ring->put({now.time, address, bytes, site, now.step << 1 | (is_free ? 1u : 0u)}))
    wake_history();
}

// `tensor`: the site is known to be of that layer, so of the one kind that it has.
template <bool tensor>
void count_alloc(Writer& writer, DeviceState& device, Site& site, std::uint64_t bytes, std::uint64_t reserved,
                 const Moment& now) {
  const auto kind = tensor ? Kind::block : static_cast<Kind>(site.kind);
  keep_peak(site, device.peak_account(kind));
  trace::count_alloc(site, bytes, now);
  change_accounts(writer.header(), device, kind, now, [&](Account& account) {
    trace::count_alloc(account, bytes);
    if (tensor) set_reserved(account, reserved);
    const bool raised = raise_peak(account, now);
    if (tensor && raised) site.raised_epoch = account.peak_epoch;
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

template <bool tensor>
void count_free(Writer& writer, Shard& shard, Site& site, std::uint64_t bytes, std::uint64_t reserved, bool late,
                const Moment& now) {
  const auto kind = tensor ? Kind::block : static_cast<Kind>(site.kind);
  const auto layer = tensor ? Layer::tensor : Layer::cuda;
  DeviceState* const device = accounts_of(writer, shard, layer, kind, site.device);
  if (device == nullptr) return;
  keep_peak(site, device->peak_account(kind));
  trace::count_free(site, bytes, late, now);
  change_accounts(writer.header(), *device, kind, now, [&](Account& account) {
    trace::count_free(account, bytes);
    if (tensor) set_reserved(account, reserved);
  });
}

// A block has left the index: empties its slot, which is written only, and books the free.
void book_free(Writer& writer, Shard& shard, std::uint64_t address, const BlockEntry& entry, std::uint64_t reserved,
               const Moment& now) {
  Block& block = *writer.block(entry.slot());
  __builtin_prefetch(&block, 1);
  __builtin_prefetch(&block.flags, 1);
  Site& site = *writer.site(entry.site);
  const std::uint64_t bytes = entry.bytes() != BlockEntry::huge ? entry.bytes() : block.bytes;
  keep_event(shard, address, bytes, entry.site, now, true);
  set_address(block, 0);
  give_slot(shard, entry.slot(), block);
  const bool late = entry.age(now.step) >= trace::late_steps;
  if (site.layer == static_cast<std::uint8_t>(Layer::tensor)) [[likely]]
    count_free<true>(writer, shard, site, bytes, reserved, late, now);
  else
    count_free<false>(writer, shard, site, bytes, reserved, late, now);
}

}  // namespace

void take_out(Writer& writer, Shard& shard, BlockIndex::Position position, std::uint64_t reserved,
              const Moment& now) noexcept {
  const std::uint64_t address = position.address();
  const BlockEntry entry = position.entry();
  shard.blocks.erase(position);
  book_free(writer, shard, address, entry, reserved, now);
}

void free_block(Writer& writer, Shard& shard, std::uint64_t address, std::uint32_t space, std::uint64_t reserved,
                const Moment& now) noexcept {
  const BlockIndex::Position position = shard.blocks.find(address, space);
  if (!position) [[unlikely]]
    return count_loss(writer.header().losses.unknown_frees);
  take_out(writer, shard, position, reserved, now);
}

void put_in(Writer& writer, Shard& shard, const AllocEvent& event, StackId stack, StackId forward,
            const Moment& now) noexcept {
  Header& header = writer.header();
  DeviceState* const device = accounts_of(writer, shard, event.layer, event.kind, event.device);
  if (device == nullptr) return count_loss(header.losses.dropped_events);
  const SiteKey key{stack, forward, event.layer, event.kind, event.device};
  const SiteRef site = site_of(writer, shard, key, device->peak_account(event.kind), now);
  const SlotRef slot = site.site == nullptr ? SlotRef{} : take_slot(writer, shard);
  if (slot.block == nullptr) [[unlikely]]
    return count_loss(header.losses.dropped_events);

  const std::uint32_t space = address_space(event.kind);
  bool known;
  const BlockIndex::Position position = shard.blocks.add(event.address, space, known);
  if (!position) [[unlikely]] {
    give_slot(shard, slot.slot, *slot.block);
    return count_loss(header.losses.dropped_events);
  }
  if (known) [[unlikely]] {  // its free was not seen
    count_loss(header.losses.replaced_blocks);
    book_free(writer, shard, event.address, position.entry(), event.reserved_bytes, {now.time, now.step, 0});
  }
  position.store(event.address, BlockEntry::of(space, event.bytes, now.step, slot.slot, site.index));
  store_block(*slot.block, {event.address, event.bytes, now.time, event.stream, site.index, now.step, now.thread, 0});
  if (event.layer == Layer::tensor) [[likely]]
    count_alloc<true>(writer, *device, *site.site, event.bytes, event.reserved_bytes, now);
  else
    count_alloc<false>(writer, *device, *site.site, event.bytes, event.reserved_bytes, now);
  keep_event(shard, event.address, event.bytes, site.index, now, false);
}

SiteRef pass_in(Writer& writer, Shard& shard, const SiteKey& key, const Passing& block, std::uint64_t reserved,
                const Moment& now) noexcept {
  DeviceState* const device = accounts_of(writer, shard, Layer::tensor, Kind::block, key.device);
  SiteRef site{};
  if (device != nullptr) site = site_of(writer, shard, key, device->peak_account(Kind::block), now);
  if (site.site == nullptr) [[unlikely]] {
    count_loss(writer.header().losses.dropped_events);
    return site;
  }
  if (const BlockIndex::Position stale = shard.blocks.find(block.address, address_space(Kind::block))) [[unlikely]] {
    count_loss(writer.header().losses.replaced_blocks);
    take_out(writer, shard, stale, reserved, {now.time, now.step, 0});
  }
  count_alloc<true>(writer, *device, *site.site, block.bytes, reserved, now);
  keep_event(shard, block.address, block.bytes, site.index, now, false);
  return site;
}

void pass_out(Writer& writer, Shard& shard, const SiteRef& site, const Passing& block, std::uint64_t reserved,
              bool late, const Moment& now) noexcept {
  if (site.site == nullptr) [[unlikely]]
    return count_loss(writer.header().losses.unknown_frees);
  keep_event(shard, block.address, block.bytes, site.index, now, true);
  count_free<true>(writer, shard, *site.site, block.bytes, reserved, late, now);
}

bool put_back(Writer& writer, Shard& shard, const Block& block, Site& site, const Moment& now) noexcept {
  const auto kind = static_cast<Kind>(site.kind);
  const auto layer = static_cast<Layer>(site.layer);
  DeviceState* const device = accounts_of(writer, shard, layer, kind, site.device);
  const SlotRef slot = device == nullptr ? SlotRef{} : take_slot(writer, shard);
  if (slot.block == nullptr) return false;
  const std::uint32_t space = address_space(kind);
  bool known = false;
  const BlockIndex::Position position = shard.blocks.add(block.address, space, known);
  if (!position || known) {
    give_slot(shard, slot.slot, *slot.block);
    return false;
  }
  position.store(block.address, BlockEntry::of(space, block.bytes, block.step, slot.slot, block.site));
  store_block(*slot.block, block);
  keep_peak(site, device->peak_account(kind));
  trace::take_back_free(site, block.bytes, now.step - block.step >= trace::late_steps);
  change_accounts(writer.header(), *device, kind, now, [&](Account& account) {
    trace::take_back_free(account, block.bytes);
    raise_peak(account, now);  // others may have allocated meanwhile
  });
  keep_event(shard, block.address, block.bytes, block.site, now, false);
  return true;
}

}  // namespace vramtrack::ledger
