// Keeps the host's errno over our own work.
#pragma once

#include <cerrno>
#include <cstddef>

namespace vramtrack {

/// Where errno is from the thread pointer on, the same in all threads (the C library's thread-local storage is static);
/// 0: not asked yet. Saves every event two calls into the C library.
extern std::ptrdiff_t g_errno_offset;

inline int* errno_place() noexcept {
#if defined(__x86_64__) || defined(__aarch64__)
#if defined(__x86_64__)
  std::byte* thread;
  asm("mov %%fs:0, %0" : "=r"(thread));
#else
  auto* const thread = static_cast<std::byte*>(__builtin_thread_pointer());
#endif
  const std::ptrdiff_t known = __atomic_load_n(&g_errno_offset, __ATOMIC_RELAXED);
  if (known != 0) [[likely]]
    return reinterpret_cast<int*>(thread + known);
  int* const place = &errno;
  __atomic_store_n(&g_errno_offset, reinterpret_cast<std::byte*>(place) - thread, __ATOMIC_RELAXED);
  return place;
#else
  return &errno;
#endif
}

class SavedErrno {
 public:
  SavedErrno() noexcept : place_(errno_place()), value_(*place_) {}
  ~SavedErrno() { *place_ = value_; }
  SavedErrno(const SavedErrno&) = delete;
  SavedErrno& operator=(const SavedErrno&) = delete;

 private:
  int* const place_;
  const int value_;
};

}  // namespace vramtrack
