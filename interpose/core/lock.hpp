// A lock for sections of a few dozen nanoseconds. Uncontended: one exchange and one store. Contended: spins, then
// yields, then sleeps, so that a preempted (or lower-priority) holder gets on. Not recursive. Constant-initialised.
// A lock whose holder does not come back (a signal handler of the program jumped out of our code, or the thread was
// ended there) is taken from it after some ten seconds, once g_lock_lost was called: the program must not hang. A
// forked child may inherit it held by a thread that does not exist there: call reset() in the child.
#pragma once

#include <atomic>
#include <cstdint>

#include "interpose/core/hot.hpp"

namespace vramtrack {

/// Lets others run for 50 microseconds or so.
VRAMTRACK_COLD void rest() noexcept;

/// Called, in any thread and under any locks, before a lock is taken from its holder: recording must stop for ever.
/// What the lock protects may be half changed.
extern std::atomic<void (*)()> g_lock_lost;

/// Around what takes the loader's lock, and system calls that may take long under one of ours: signals wait, so that no
/// handler can jump out of it, and those who wait for the lock have patience. Two system calls: only on slow paths.
class SignalsWait {
 public:
  SignalsWait() noexcept;
  ~SignalsWait();
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;

 private:
  std::uint64_t before_;  // the thread's signal mask
};

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
