// See ledger.hpp. Each function takes the active writer once; a shard's lock is held over one event, and nothing
// outside this library is called under it.
#include "interpose/ledger.hpp"

#include <atomic>
#include <cstring>

#include "interpose/ledger/state.hpp"
#include "interpose/support/clock.hpp"
#include "interpose/support/say.hpp"
#include "interpose/support/thread_id.hpp"

namespace vramtrack::ledger {

namespace {

using trace::Account;
using trace::Block;
using trace::Header;
using trace::Site;
using trace::Writer;

constexpr std::uint32_t slot_batch = 32;

constinit Shard g_shards[1 + max_devices];             // 0: the cuda layer; 1 + d: device d of the tensor layer
constinit SpinLock g_registry_lock;                    // accounts, site ids, slot batches: taken under a shard's lock
constinit DeviceState* g_devices[2][1 + max_devices];  // [layer][1 + device]
constinit Arena g_arena;                               // of DeviceState; under g_registry_lock
constinit std::uint32_t g_accounts = 0;                // used entries of Header::accounts

void count_loss(std::uint64_t& loss) { std::atomic_ref(loss).fetch_add(1, std::memory_order_relaxed); }

Shard* shard_of(Layer layer, std::int16_t device) {
  if (layer == Layer::cuda) return &g_shards[0];
  if (device < 0 || device >= static_cast<std::int16_t>(max_devices)) return nullptr;
  return &g_shards[1 + device];
}

// Which addresses can be equal without being the same thing (FreeEvent::kind).
std::uint64_t address_space(Kind kind) {
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

std::uint32_t block_tag(Kind kind, std::uint64_t address) {
  return static_cast<std::uint32_t>(mix64(address + (address_space(kind) << 60)) >> 16);
}

std::uint32_t site_tag(const AllocEvent& event, StackId stack, StackId forward) {
  const std::uint64_t where = static_cast<std::uint64_t>(event.kind) << 16 | static_cast<std::uint16_t>(event.device);
  return static_cast<std::uint32_t>(mix64(mix64(std::uint64_t{stack} << 32 | forward) + where) >> 16);
}

struct BlockIs {
  Writer& writer;
  Kind kind;
  std::uint64_t address;
  bool operator()(std::uint32_t slot) const {
    const Block& block = *writer.block(slot);
    return block.address == address &&
           address_space(static_cast<Kind>(writer.site(block.site)->kind)) == address_space(kind);
  }
};

// Strictly increasing within the shard, so that the order of events can be told from their times.
std::uint64_t stamp(Shard& shard) {
  const std::uint64_t now = ticks();
  shard.last_time = now > shard.last_time ? now : shard.last_time + 1;
  return shard.last_time;
}

// ---- accounts ----------------------------------------------------------------------------------------------------

void open_account(Writer& writer, AccountState& state, Layer layer, Kind kind, std::int16_t device) {
  if (g_accounts == trace::max_accounts) return;
  const std::uint32_t index = g_accounts++;
  Account& account = writer.header().accounts[index];
  account.layer = static_cast<std::uint8_t>(layer);
  account.kind = static_cast<std::uint8_t>(kind);
  account.device = device;
  std::atomic_ref(account.used).store(1, std::memory_order_release);
  state.account = &account;
  if (trace::peak_kind(kind) == kind) state.timeline = writer.add_timeline(index);
}

// The accounts of an event; nullptr when there is no room for them.
DeviceState* device_state(Writer& writer, Layer layer, Kind kind, std::int16_t device) {
  if (device < -1 || device >= static_cast<std::int16_t>(max_devices) || static_cast<std::size_t>(kind) >= kind_count)
    return nullptr;
  DeviceState*& state = g_devices[static_cast<std::size_t>(layer)][1 + device];
  const bool in_all = trace::is_device_memory(kind);
  if (state != nullptr && state->kinds[static_cast<std::size_t>(kind)].account != nullptr &&
      (!in_all || state->all.account != nullptr)) [[likely]]
    return state;
  const LockGuard guard(g_registry_lock);
  if (state == nullptr) state = g_arena.make_array<DeviceState>(1);  // zeroed pages are its initial value
  if (state == nullptr) return nullptr;
  AccountState& own = state->kinds[static_cast<std::size_t>(kind)];
  if (in_all && state->all.account == nullptr) open_account(writer, state->all, layer, Kind::all, device);
  if (own.account == nullptr) open_account(writer, own, layer, kind, device);
  return own.account != nullptr && (!in_all || state->all.account != nullptr) ? state : nullptr;
}

Account& peak_account(DeviceState& device, Kind kind) {
  return *(trace::is_device_memory(kind) ? device.all : device.kinds[static_cast<std::size_t>(kind)]).account;
}

void raise_peak(Account& account, const Header& header, std::uint64_t now) {
  if (account.live_bytes <= account.peak_bytes) return;
  account.peak_bytes = account.live_bytes;
  account.peak_time = now;
  account.peak_step = header.steps;
  ++account.peak_epoch;
}

void set_reserved(Account& account, std::uint64_t reserved) {
  account.reserved_bytes = reserved;
  if (reserved > account.peak_reserved_bytes) account.peak_reserved_bytes = reserved;
}

// Applies `change(account)` to the one or two accounts of a kind, with the time series.
template <class Change>
void change_accounts(Writer& writer, DeviceState& device, Kind kind, std::uint64_t now, Change&& change) {
  const auto apply = [&](AccountState& state) {
    const std::uint64_t level = state.account->live_bytes;
    change(*state.account);
    timeline_event(writer, state, now, level);
  };
  apply(device.kinds[static_cast<std::size_t>(kind)]);
  if (trace::is_device_memory(kind)) apply(device.all);
}

// ---- sites -------------------------------------------------------------------------------------------------------

// Before a site's bytes change: keep what it held at the last peak, unless that was done since.
void keep_peak(Site& site, const Account& account) {
  if (site.peak_epoch == account.peak_epoch) return;
  site.at_peak_bytes = site.live_bytes;
  site.at_peak_count = site.live_count;
  site.peak_epoch = account.peak_epoch;
}

std::uint32_t new_site(Writer& writer, Shard& shard, std::uint32_t tag, const AllocEvent& event, StackId stack,
                       StackId forward, const Account& account, std::uint64_t now) {
  const LockGuard guard(g_registry_lock);
  Header& header = writer.header();
  const auto index = static_cast<std::uint32_t>(header.sites);
  Site* const site = writer.site(index);
  if (site == nullptr || !shard.sites.insert(tag, index)) return TagTable::none;
  site->stack = stack;
  site->forward = forward;
  site->layer = static_cast<std::uint8_t>(event.layer);
  site->kind = static_cast<std::uint8_t>(event.kind);
  site->device = event.device;
  site->first_time = now;
  site->first_step = header.steps;
  site->peak_epoch = account.peak_epoch;  // it held nothing at the last peak
  std::atomic_ref(site->used).store(1, std::memory_order_release);
  std::atomic_ref(header.sites).store(index + 1, std::memory_order_release);
  return index;
}

std::uint32_t site_of(Writer& writer, Shard& shard, const AllocEvent& event, StackId stack, StackId forward,
                      const Account& account, std::uint64_t now) {
  const std::uint32_t tag = site_tag(event, stack, forward);
  const std::uint32_t known = shard.sites.find(tag, [&](std::uint32_t index) {
    const Site& site = *writer.site(index);
    return site.stack == stack && site.forward == forward && site.kind == static_cast<std::uint8_t>(event.kind) &&
           site.device == event.device;
  });
  return known != TagTable::none ? known : new_site(writer, shard, tag, event, stack, forward, account, now);
}

// ---- blocks ------------------------------------------------------------------------------------------------------

std::uint32_t take_slot(Writer& writer, Shard& shard) {
  if (shard.free_slots != Shard::no_slot) {
    const std::uint32_t slot = shard.free_slots;
    shard.free_slots = static_cast<std::uint32_t>(writer.block(slot)->bytes);
    return slot;
  }
  if (shard.fresh_slot == shard.fresh_end) {
    const LockGuard guard(g_registry_lock);
    std::uint64_t& slots = writer.header().block_slots;
    if (slots + slot_batch >= TagTable::none) return Shard::no_slot;
    const auto first = static_cast<std::uint32_t>(slots);
    if (writer.block(first + slot_batch - 1) == nullptr) return Shard::no_slot;
    shard.fresh_slot = first;
    shard.fresh_end = first + slot_batch;
    std::atomic_ref(slots).store(shard.fresh_end, std::memory_order_release);
  }
  return shard.fresh_slot++;
}

void give_slot(Writer& writer, Shard& shard, std::uint32_t slot) {
  writer.block(slot)->bytes = shard.free_slots;
  shard.free_slots = slot;
}

void set_address(Block& block, std::uint64_t address) {
  std::atomic_ref(block.address).store(address, std::memory_order_release);
}

// A block has left the index: empties its slot and books the free.
void book_free(Writer& writer, Shard& shard, std::uint32_t slot, std::uint64_t reserved, std::uint64_t now) {
  Block& block = *writer.block(slot);
  Site& site = *writer.site(block.site);
  const std::uint64_t bytes = block.bytes;
  set_address(block, 0);
  const auto kind = static_cast<Kind>(site.kind);
  const auto layer = static_cast<Layer>(site.layer);
  if (DeviceState* const device = device_state(writer, layer, kind, site.device); device != nullptr) {
    keep_peak(site, peak_account(*device, kind));
    site.live_bytes -= bytes;
    --site.live_count;
    site.freed_bytes += bytes;
    ++site.freed_count;
    site.last_free_time = now;
    change_accounts(writer, *device, kind, now, [&](Account& account) {
      account.live_bytes -= bytes;
      --account.live_count;
      account.freed_bytes += bytes;
      ++account.freed_count;
      if (layer == Layer::tensor) set_reserved(account, reserved);
    });
  }
  give_slot(writer, shard, slot);
}

// Stores the block and books it on its site and accounts; `again`: it was only taken out by remove().
void book_alloc(Writer& writer, Shard& shard, DeviceState& device, Site& site, std::uint32_t slot, const Block& block,
                std::uint64_t now, std::uint64_t reserved, bool again) {
  Block& stored = *writer.block(slot);
  stored.bytes = block.bytes;
  stored.time = block.time;
  stored.stream = block.stream;
  stored.site = block.site;
  stored.step = block.step;
  stored.thread = block.thread;
  set_address(stored, block.address);
  (void)shard;

  const auto kind = static_cast<Kind>(site.kind);
  const std::uint64_t bytes = block.bytes;
  keep_peak(site, peak_account(device, kind));
  site.live_bytes += bytes;
  ++site.live_count;
  if (site.live_bytes > site.own_peak_bytes) site.own_peak_bytes = site.live_bytes;
  if (again) {
    site.freed_bytes -= bytes;
    --site.freed_count;
  } else {
    site.allocated_bytes += bytes;
    ++site.allocated_count;
    if (bytes > site.largest_bytes) site.largest_bytes = bytes;
    site.last_time = now;
    site.last_step = block.step;
  }
  change_accounts(writer, device, kind, now, [&](Account& account) {
    account.live_bytes += bytes;
    ++account.live_count;
    if (again) {
      account.freed_bytes -= bytes;
      --account.freed_count;
    } else {
      account.allocated_bytes += bytes;
      ++account.allocated_count;
      if (site.layer == static_cast<std::uint8_t>(Layer::tensor)) set_reserved(account, reserved);
    }
    raise_peak(account, writer.header(), now);
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
    shard.blocks = TagTable();
    shard.sites = TagTable();
  }
  g_registry_lock.reset();
  std::memset(g_devices, 0, sizeof g_devices);
  g_arena.forget();
  g_accounts = 0;
  forget_thread_id();
}

void add(const AllocEvent& event, StackId stack, StackId forward) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr || event.address == 0) return;
  trace::Losses& losses = writer->header().losses;
  Shard* const shard = shard_of(event.layer, event.device);
  if (shard == nullptr) return count_loss(losses.dropped_events);
  const std::uint32_t thread = thread_id();

  const LockGuard guard(shard->lock);
  DeviceState* const device = device_state(*writer, event.layer, event.kind, event.device);
  if (device == nullptr) return count_loss(losses.dropped_events);
  const std::uint64_t now = stamp(*shard);
  const std::uint32_t tag = block_tag(event.kind, event.address);
  const std::uint32_t stale = shard->blocks.erase(tag, BlockIs{*writer, event.kind, event.address});
  if (stale != TagTable::none) [[unlikely]] {
    count_loss(losses.replaced_blocks);
    book_free(*writer, *shard, stale, event.reserved_bytes, now);
  }
  const std::uint32_t site = site_of(*writer, *shard, event, stack, forward, peak_account(*device, event.kind), now);
  const std::uint32_t slot = site == TagTable::none ? Shard::no_slot : take_slot(*writer, *shard);
  if (slot == Shard::no_slot) return count_loss(losses.dropped_events);
  if (!shard->blocks.insert(tag, slot)) {
    give_slot(*writer, *shard, slot);
    return count_loss(losses.dropped_events);
  }
  Block block{};
  block.address = event.address;
  block.bytes = event.bytes;
  block.time = now;
  block.stream = event.stream;
  block.site = site;
  block.step = writer->header().steps;
  block.thread = thread;
  book_alloc(*writer, *shard, *device, *writer->site(site), slot, block, now, event.reserved_bytes, false);
}

Removed remove(const FreeEvent& event) noexcept {
  Removed removed;
  Writer* const writer = trace::active();
  if (writer == nullptr || event.address == 0) return removed;
  trace::Losses& losses = writer->header().losses;
  Shard* const shard = shard_of(event.layer, event.device);
  if (shard == nullptr) {
    count_loss(losses.unknown_frees);
    return removed;
  }
  const LockGuard guard(shard->lock);
  const std::uint32_t slot =
      shard->blocks.erase(block_tag(event.kind, event.address), BlockIs{*writer, event.kind, event.address});
  if (slot == TagTable::none) {
    count_loss(losses.unknown_frees);
    return removed;
  }
  removed.found = true;
  removed.block = *writer->block(slot);
  removed.site = writer->site(removed.block.site);
  book_free(*writer, *shard, slot, event.reserved_bytes, stamp(*shard));
  return removed;
}

void restore(const Removed& removed) noexcept {
  Writer* const writer = trace::active();
  if (!removed.found || writer == nullptr) return;
  Site& site = *removed.site;
  const auto kind = static_cast<Kind>(site.kind);
  Shard* const shard = shard_of(static_cast<Layer>(site.layer), site.device);
  if (shard == nullptr) return;
  const LockGuard guard(shard->lock);
  DeviceState* const device = device_state(*writer, static_cast<Layer>(site.layer), kind, site.device);
  const std::uint32_t slot = device == nullptr ? Shard::no_slot : take_slot(*writer, *shard);
  if (slot == Shard::no_slot || !shard->blocks.insert(block_tag(kind, removed.block.address), slot))
    return count_loss(writer->header().losses.dropped_events);
  book_alloc(*writer, *shard, *device, site, slot, removed.block, stamp(*shard), 0, true);
}

void remove_device(std::int16_t device) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return;
  Shard& shard = g_shards[0];
  const LockGuard guard(shard.lock);
  const std::uint64_t slots = std::atomic_ref(writer->header().block_slots).load(std::memory_order_acquire);
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    const Block& block = *writer->block(slot);
    if (block.address == 0) continue;
    // A slot of another shard is never taken for ours: slots stay with their shard, sites with their layer.
    const Site& site = *writer->site(block.site);
    if (site.layer != static_cast<std::uint8_t>(Layer::cuda) || site.device != device) continue;
    shard.blocks.erase(block_tag(static_cast<Kind>(site.kind), block.address),
                       [slot](std::uint32_t found) { return found == slot; });
    book_free(*writer, shard, slot, 0, stamp(shard));
  }
}

std::uint64_t live_bytes_of(Layer layer, std::int16_t device, Kind kind, std::uint64_t address) noexcept {
  Writer* const writer = trace::active();
  Shard* const shard = shard_of(layer, device);
  if (writer == nullptr || shard == nullptr || address == 0) return 0;
  const LockGuard guard(shard->lock);
  const std::uint32_t slot = shard->blocks.find(block_tag(kind, address), BlockIs{*writer, kind, address});
  return slot == TagTable::none ? 0 : writer->block(slot)->bytes;
}

void step() noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return;
  std::atomic_ref(writer->header().step_source).store(1, std::memory_order_relaxed);
  std::atomic_ref(writer->header().steps).fetch_add(1, std::memory_order_relaxed);
}

std::uint32_t snapshot_oom(Layer layer, std::int16_t device, std::uint64_t requested, std::uint64_t live,
                           std::uint64_t reserved, StackId stack) noexcept {
  Writer* const writer = trace::active();
  if (writer == nullptr) return 0;
  Header& header = writer->header();
  // All locks, always in this order: the copy is one moment of both layers.
  for (Shard& shard : g_shards) shard.lock.lock();
  std::uint32_t n = 0;
  if (header.ooms >= trace::max_oom_snapshots) {
    count_loss(header.losses.dropped_ooms);
  } else {
    const auto slots = static_cast<std::uint32_t>(header.block_slots);
    trace::OomRecord record{};
    for (std::uint32_t slot = 0; slot < slots; ++slot) record.blocks += writer->block(slot)->address != 0;
    std::byte* payload = writer->begin_record(sizeof record + record.blocks * sizeof(Block));
    if (payload == nullptr && record.blocks != 0) {  // the disk is full: at least say that it happened
      record.blocks = 0;
      record.flags = 1;
      payload = writer->begin_record(sizeof record);
    }
    if (payload == nullptr) {
      count_loss(header.losses.dropped_ooms);
    } else {
      n = header.ooms + 1;
      record.n = n;
      record.layer = static_cast<std::uint8_t>(layer);
      record.device = device;
      record.time = ticks();
      record.requested_bytes = requested;
      record.live_bytes = live;
      record.reserved_bytes = reserved;
      record.stack = stack;
      record.step = header.steps;
      record.thread = thread_id();
      std::memcpy(payload, &record, sizeof record);
      std::byte* at = payload + sizeof record;
      for (std::uint32_t slot = 0; record.blocks != 0 && slot < slots; ++slot) {
        const Block& block = *writer->block(slot);
        if (block.address == 0) continue;
        std::memcpy(at, &block, sizeof block);
        at += sizeof block;
      }
      Writer::commit_record(payload, trace::RecordType::oom);
      std::atomic_ref(header.ooms).store(n, std::memory_order_release);
    }
  }
  for (Shard& shard : g_shards) shard.lock.unlock();
  return n;
}

}  // namespace vramtrack::ledger
