// Has a function called at the end of threads that ask for it.
#pragma once

#include <pthread.h>

namespace vramtrack {

/// glibc runs such functions again while threads ask anew: what an event from a later destructor takes, a later round
/// gives back. Constant-initialised. Where the system has no key left, nothing is called.
class ThreadEnd {
 public:
  constexpr ThreadEnd() noexcept = default;
  ThreadEnd(const ThreadEnd&) = delete;
  ThreadEnd& operator=(const ThreadEnd&) = delete;

  /// `ended(value)` runs in the ending thread. Once, or under a lock of the owner's.
  void init(void (*ended)(void*)) noexcept {
    if (!has_key_) has_key_ = ::pthread_key_create(&key_, ended) == 0;
  }
  /// The calling thread is to be told of, with a value that is not null.
  void watch(const void* value) const noexcept {
    if (has_key_) ::pthread_setspecific(key_, value);
  }

 private:
  pthread_key_t key_ = 0;
  bool has_key_ = false;
};

}  // namespace vramtrack
