// A lock for sections of a few dozen nanoseconds. Uncontended: one exchange and one store. Contended: spins, then
// yields, then sleeps, so that a preempted (or lower-priority) holder gets on. Not recursive. Constant-initialised.
// A forked child may inherit it held by a thread that does not exist there: call reset() in the child.
#pragma once

#include <atomic>
#include <cstdint>

#include "interpose/core/hot.hpp"

namespace vramtrack {

/// Lets others run for 50 microseconds or so.
VRAMTRACK_COLD void rest() noexcept;

class SpinLock {
 public:
  constexpr SpinLock() noexcept = default;
  SpinLock(const SpinLock&) = delete;
  SpinLock& operator=(const SpinLock&) = delete;

  void lock() noexcept {
    if (held_.exchange(1, std::memory_order_acquire) != 0) [[unlikely]]
      lock_slow();
  }
  bool try_lock() noexcept {
    return held_.load(std::memory_order_relaxed) == 0 && held_.exchange(1, std::memory_order_acquire) == 0;
  }
  void unlock() noexcept { held_.store(0, std::memory_order_release); }
  /// In a forked child only.
  void reset() noexcept { held_.store(0, std::memory_order_relaxed); }

 private:
  VRAMTRACK_COLD void lock_slow() noexcept;
  std::atomic<std::uint32_t> held_{0};
};

class LockGuard {
 public:
  explicit LockGuard(SpinLock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~LockGuard() { lock_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  SpinLock& lock_;
};

}  // namespace vramtrack
