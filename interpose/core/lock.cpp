#include "interpose/core/lock.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "interpose/core/hot_thread.hpp"
#include "interpose/core/saved_errno.hpp"

namespace vramtrack {

namespace {

std::atomic<int> g_waiting_signals{0};

void sleep(long ns) noexcept {
  const SavedErrno keep;
  const timespec nap{0, ns};
  ::syscall(SYS_nanosleep, &nap, nullptr);  // libc's own would be a cancellation point
}

}  // namespace

std::atomic<void (*)()> g_lock_lost{nullptr};

SignalsWait::SignalsWait() noexcept {
  // All but those that the code itself may raise.
  std::uint64_t mask = ~std::uint64_t{0};
  for (const int number : {SIGBUS, SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGSYS})
    mask &= ~(std::uint64_t{1} << (number - 1));
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, &before_, sizeof before_);
  g_waiting_signals.fetch_add(1, std::memory_order_relaxed);
}

SignalsWait::~SignalsWait() {
  g_waiting_signals.fetch_sub(1, std::memory_order_relaxed);
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof before_);
}

void rest() noexcept { sleep(50'000); }

void SpinLock::lock_slow() noexcept {
  const SavedErrno keep;
  // Naps are counted, not time: a process that is stopped does not lose its locks. They come to about ten seconds; less
  // in a thread that may wait for itself.
  const std::uint32_t patience = t_jumped ? 400 : 1600;
  for (std::uint32_t round = 0;; ++round) {
    // Reading only, so that the waiting threads share the cache line until it is released.
    if (held_.load(std::memory_order_relaxed) == 0 && held_.exchange(1, std::memory_order_acquire) == 0) return;
    if (round < 12) {
      // Twice as long each time: threads that look at once take the line from each other and from the holder.
      for (std::uint32_t n = 1u << (round < 6 ? round : 6); n > 0; --n) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("isb");  // `yield` does nothing on most cores; this takes about as long as x86's `pause`
#endif
      }
    } else if (round < 200) {
      ::sched_yield();
    } else if (round < 600) {
      rest();
    } else if (round < patience || g_waiting_signals.load(std::memory_order_relaxed) > 0) {
      sleep(10'000'000);
    } else {
      if (auto* const lost = g_lock_lost.load(std::memory_order_acquire)) lost();
      return;  // as its holder; letting it go lets the next one in
    }
  }
}

}  // namespace vramtrack
