// Before CUDA 13.3 a process has room for one CUPTI subscriber. Where we hold it (--audit, --cupti) and the program
// asks for it, as torch.profiler does when it starts, the program gets it: its profile is what it came for. Calls of
// libtorch's go through the PLT, so a preloaded definition sees them; nothing changes unless the real call is refused.
#include <cupti.h>

#include <atomic>

#include "cupti/callback_source.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/elf.hpp"

namespace {

constexpr char own_address = 0;  // an address in this library
using Subscribe = CUptiResult(CUpti_SubscriberHandle*, CUpti_CallbackFunc, void*);

Subscribe* real_subscribe() noexcept {
  static std::atomic<Subscribe*> known{nullptr};
  Subscribe* real = known.load(std::memory_order_acquire);
  if (real != nullptr) return real;
  using namespace vramtrack;
  const SavedErrno keep;
  void* found = hooks::symbol_after(&own_address, "cuptiSubscribe");
  for (const char* soname : {"libcupti.so.13", "libcupti.so.12"})
    if (found == nullptr) found = hooks::symbol_of(hooks::find_module(soname), "cuptiSubscribe");
  real = reinterpret_cast<Subscribe*>(found);
  known.store(real, std::memory_order_release);
  return real;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) CUptiResult CUPTIAPI
cuptiSubscribe(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc callback, void* user_data) {
  Subscribe* const real = real_subscribe();
  if (real == nullptr) return CUPTI_ERROR_NOT_INITIALIZED;
  const CUptiResult result = real(subscriber, callback, user_data);
  if (result != CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED || !vramtrack::cupti::hand_over()) return result;
  return real(subscriber, callback, user_data);
}
