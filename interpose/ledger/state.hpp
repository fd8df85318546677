// The ledger's in-process state; private to interpose/ledger. See ledger.hpp for what it stands for.
#pragma once

#include <atomic>

#include "contract/counters.hpp"
#include "interpose/core/clock.hpp"
#include "interpose/core/hot.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/tag_table.hpp"
#include "interpose/ledger/block_index.hpp"
#include "interpose/ledger/ledger.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::ledger {

inline constexpr std::size_t max_devices = 64;
inline constexpr std::size_t kind_count = 11;

using trace::Moment;

/// One account of the trace's header and its time series. Protected by the lock of its shard.
struct AccountState {
  trace::Account* account = nullptr;
  trace::Timeline* timeline = nullptr;
  trace::TimelinePoint* point = nullptr;  // of the current interval; nullptr before the first event
  std::uint64_t interval = 0;             // ticks a point covers
  std::uint64_t interval_end = 0;         // of the current point
  std::uint64_t window_peak = 0;          // most live bytes since begin_window()
};

/// The accounts of one device in one layer.
struct alignas(64) DeviceState {
  AccountState all;
  AccountState kinds[kind_count];  // Kind::block is not used: in the tensor layer `all` is the only account

  AccountState& of(Kind kind) { return kind == Kind::block ? all : kinds[static_cast<std::size_t>(kind)]; }
  /// The account that a site of this kind is measured at.
  trace::Account& peak_account(Kind kind) { return *(trace::is_device_memory(kind) ? all : of(kind)).account; }
};

/// What tells one call site from another.
struct SiteKey {
  StackId stack, forward;
  Layer layer;
  Kind kind;
  std::int16_t device;
  bool operator==(const SiteKey&) const = default;
};

struct Ring;  // pending.hpp
struct Head;

/// What one lock protects: the cuda layer, or one device of the tensor layer. All zero at first: those of devices that
/// are not there cost no memory.
struct alignas(64) Shard {
  SpinLock lock;                             // on a cache line of its own: who waits does not disturb who works
  alignas(64) std::uint32_t free_slots = 0;  // 1 + the first of a list through Block::bytes of free blocks; 0: none
  std::uint32_t fresh_slot = 0;              // slots taken from the trace in a batch and not yet used
  std::uint32_t fresh_end = 0;
  std::uint64_t last_time = 0;    // times of what is booked increase strictly
  DeviceState* device = nullptr;  // tensor layer: of the one device
  Ring* rings = nullptr;          // tensor layer: where events wait, one for each thread
  Head* heads = nullptr;          // room for one of each ring
  std::uint32_t ring_count = 0;
  std::uint32_t head_room = 0;
  BlockIndex blocks;
  TagTable sites;  // site key -> site

  /// The sites that were met last, by the low bits of their stack: most events need no more.
  struct KnownSite {
    SiteKey key{};
    std::uint32_t index = 0;
    trace::Site* site = nullptr;
  };
  KnownSite known_sites[512];

  /// Strictly increasing, so that the order of a shard's events can be told from their times. `now` may be read before
  /// the lock is taken, so that one does not wait for the other.
  std::uint64_t stamp(std::uint64_t now = ticks()) noexcept {
    last_time = now > last_time ? now : last_time + 1;
    return last_time;
  }
};

extern constinit Shard g_shards[1 + max_devices];  // 0: the cuda layer; 1 + d: device d of the tensor layer
extern constinit SpinLock g_registry_lock;         // accounts, site ids, slot batches: taken under a shard's lock

inline Shard* shard_of(Layer layer, std::int16_t device) {
  if (layer == Layer::cuda) return &g_shards[0];
  if (device < 0 || device >= static_cast<std::int16_t>(max_devices)) return nullptr;
  return &g_shards[1 + device];
}

VRAMTRACK_COLD inline void count_loss(std::uint64_t& loss) {
  std::atomic_ref(loss).fetch_add(1, std::memory_order_relaxed);
}

/// The step clock; any thread advances it.
inline std::uint32_t current_step(trace::Header& header) {
  return std::atomic_ref(header.steps).load(std::memory_order_relaxed);
}

// ---- accounts.cpp ------------------------------------------------------------------------------------------------

/// The accounts of an event, opened when they are new; nullptr when there is no room for them.
DeviceState* device_state(trace::Writer& writer, Layer layer, Kind kind, std::int16_t device) noexcept;
/// The accounts of a device, nullptr when it has none yet. Any thread: opened once, they stay.
DeviceState* find_device_state(Layer layer, std::int16_t device) noexcept;
void forget_accounts() noexcept;

/// Calls work(state, the lock that protects it) for each open account.
template <class Work>
void for_each_account(Work&& work) {
  for (std::int16_t device = -1; device < static_cast<std::int16_t>(max_devices); ++device)
    for (const Layer layer : {Layer::cuda, Layer::tensor}) {
      DeviceState* const state = find_device_state(layer, device);
      Shard* const shard = shard_of(layer, device);
      if (state == nullptr || shard == nullptr) continue;
      if (state->all.account != nullptr) work(state->all, shard->lock);
      for (AccountState& kind : state->kinds)
        if (kind.account != nullptr) work(kind, shard->lock);
    }
}

// ---- timeline.cpp ------------------------------------------------------------------------------------------------

/// The event at `now` does not belong to the current point any more.
void timeline_interval(trace::Header& header, AccountState& state, const Moment& now, std::uint64_t level) noexcept;

/// Moves a time series on: `level` bytes were live before the event at `now`, `account.live_bytes` are after it.
inline void timeline_event(trace::Header& header, AccountState& state, const Moment& now,
                           std::uint64_t level) noexcept {
  if (now.time >= state.interval_end) [[unlikely]]
    return timeline_interval(header, state, now, level);
  const trace::Account& account = *state.account;
  trace::TimelinePoint& point = *state.point;
  ++point.events;
  if (account.reserved_bytes > point.reserved_bytes) point.reserved_bytes = account.reserved_bytes;
  if (account.live_bytes > point.live_bytes) {
    point.live_bytes = account.live_bytes;
    point.time = now.time;
    point.step = now.step;
  }
}

}  // namespace vramtrack::ledger
