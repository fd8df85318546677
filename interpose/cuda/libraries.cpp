// dlclose: what stack capture knows of a library's code is void once it is gone, since another may be mapped in its
// place. (Libraries that come need no hook, and dlopen has none: it looks at its caller's address for the search path.)
#include <dlfcn.h>

#include <atomic>

#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/doors.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/trace/writer.hpp"

extern "C" __attribute__((visibility("default"))) int dlclose(void* handle) noexcept {
  static std::atomic<int (*)(void*)> g_real{nullptr};
  int (*real)(void*) = g_real.load(std::memory_order_acquire);
  if (real == nullptr) {
    real = reinterpret_cast<int (*)(void*)>(vramtrack::hooks::real_dlsym(RTLD_NEXT, "dlclose"));
    g_real.store(real, std::memory_order_release);
  }
  const int result = real(handle);
  if (vramtrack::trace::active() != nullptr) {
    const vramtrack::SavedErrno keep;
    vramtrack::stacks::modules_changed();
  }
  return result;
}
