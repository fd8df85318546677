#include "interpose/core/lock.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "interpose/core/saved_errno.hpp"

namespace vramtrack {

void rest() noexcept {
  const SavedErrno keep;
  const timespec nap{0, 50'000};
  ::syscall(SYS_nanosleep, &nap, nullptr);  // libc's own would be a cancellation point
}

void SpinLock::lock_slow() noexcept {
  const SavedErrno keep;
  for (std::uint32_t round = 0;; ++round) {
    // Reading only, so that the waiting threads share the cache line until it is released.
    if (held_.load(std::memory_order_relaxed) == 0 && held_.exchange(1, std::memory_order_acquire) == 0) return;
    if (round < 12) {
      // Twice as long each time: threads that look at once take the line from each other and from the holder.
      for (std::uint32_t n = 1u << (round < 6 ? round : 6); n > 0; --n) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
    } else if (round < 200) {
      ::sched_yield();
    } else {
      rest();
    }
  }
}

}  // namespace vramtrack
