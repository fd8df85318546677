// The ledger's in-process state; private to interpose/ledger. See ledger.hpp for what it stands for.
#pragma once

#include "interpose/ledger.hpp"
#include "interpose/support/lock.hpp"
#include "interpose/support/memory.hpp"
#include "interpose/support/tag_table.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::ledger {

inline constexpr std::size_t max_devices = 64;
inline constexpr std::size_t kind_count = 11;

/// One account of the trace's header and its time series. Protected by the lock of its shard.
struct AccountState {
  trace::Account* account = nullptr;
  trace::Timeline* timeline = nullptr;
  std::uint64_t interval = 0;      // ticks a point covers; 0: no time series
  std::uint64_t interval_end = 0;  // of the current point
};

/// The accounts of one device in one layer.
struct DeviceState {
  AccountState kinds[kind_count];
  AccountState all;
};

/// What one lock protects: the cuda layer, or one device of the tensor layer.
struct alignas(64) Shard {
  SpinLock lock;
  std::uint32_t free_slots = no_slot;  // head of a list through Block::bytes of free blocks
  std::uint32_t fresh_slot = 0;        // slots taken from the trace in a batch and not yet used
  std::uint32_t fresh_end = 0;
  std::uint64_t last_time = 0;  // times within a shard increase strictly
  TagTable blocks;              // (address space, address) -> slot
  TagTable sites;               // site key -> site

  static constexpr std::uint32_t no_slot = 0xffffffffu;
};

/// Moves a time series on: `level` bytes were live before the event at `now`, `account.live_bytes` are after it.
void timeline_event(trace::Writer& writer, AccountState& state, std::uint64_t now, std::uint64_t level) noexcept;

}  // namespace vramtrack::ledger
