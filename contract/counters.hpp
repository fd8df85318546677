// What an allocation and a free do to the counters of a site and of an account. Shared by the ledger (in the traced
// process, under the lock of the site's layer) and by the reader, which books the events that the ledger had not.
#pragma once

#include "contract/layout.hpp"
#include "contract/site_floor.hpp"

namespace vramtrack::trace {

inline constexpr std::uint32_t late_steps = 2;  // see Site::freed_late

/// When an event was, and in which thread.
struct Moment {
  std::uint64_t time;  // ticks
  std::uint32_t step;
  std::uint32_t thread;  // of an allocation its id, of a free freed_in_backward or 0
};

/// Before a site's bytes change: keep what it held at its account's last peak, unless that was done since.
inline void keep_peak(Site& site, const Account& account) noexcept {
  if (site.peak_epoch == account.peak_epoch) return;
  site.at_peak_bytes = site.live_bytes;
  site.at_peak_count = site.live_count;
  site.peak_epoch = account.peak_epoch;
}

inline void count_alloc(Site& site, std::uint64_t bytes, const Moment& now) noexcept {
  site.live_bytes += bytes;
  ++site.live_count;
  if (site.live_bytes > site.own_peak_bytes) site.own_peak_bytes = site.live_bytes;
  if (is_floor_point(site)) [[unlikely]]
    set_floor_point(site);
  site.allocated_bytes += bytes;
  ++site.allocated_count;
  if (bytes > site.largest_bytes) site.largest_bytes = bytes;
  site.last_time = now.time;
  site.last_step = now.step;
}

inline void count_free(Site& site, std::uint64_t bytes, bool late, const Moment& now) noexcept {
  site.live_bytes -= bytes;
  --site.live_count;
  site.freed_bytes += bytes;
  ++site.freed_count;
  if (late) ++site.freed_late;
  site.freed_in_backward += now.thread & freed_in_backward;
  site.last_free_time = now.time;
  lower_floor(site);
}

/// A free that failed: the block had been live all the time.
inline void take_back_free(Site& site, std::uint64_t bytes, bool late) noexcept {
  site.live_bytes += bytes;
  ++site.live_count;
  if (site.live_bytes > site.own_peak_bytes) site.own_peak_bytes = site.live_bytes;
  site.freed_bytes -= bytes;
  --site.freed_count;
  if (late && site.freed_late > 0) --site.freed_late;
}

/// Whether this is a new peak.
inline bool raise_peak(Account& account, const Moment& now) noexcept {
  if (account.live_bytes <= account.peak_bytes) return false;
  account.peak_bytes = account.live_bytes;
  account.peak_time = now.time;
  account.peak_step = now.step;
  ++account.peak_epoch;
  return true;
}

inline void set_reserved(Account& account, std::uint64_t reserved) noexcept {
  account.reserved_bytes = reserved;
  if (reserved > account.peak_reserved_bytes) account.peak_reserved_bytes = reserved;
}

inline void count_alloc(Account& account, std::uint64_t bytes) noexcept {
  account.live_bytes += bytes;
  ++account.live_count;
  account.allocated_bytes += bytes;
  ++account.allocated_count;
}

inline void count_free(Account& account, std::uint64_t bytes) noexcept {
  account.live_bytes -= bytes;
  --account.live_count;
  account.freed_bytes += bytes;
  ++account.freed_count;
}

inline void take_back_free(Account& account, std::uint64_t bytes) noexcept {
  account.live_bytes += bytes;
  ++account.live_count;
  account.freed_bytes -= bytes;
  --account.freed_count;
}

}  // namespace vramtrack::trace
