// PyTorch's own reports, taken through the PLT: libc10_cuda.so calls c10::reportMemoryUsageToProfiler for every block
// that its caching allocator hands out or takes back, and c10::reportOutOfMemoryToProfiler when it gives up; autograd
// calls at::sequence_number::get_and_increment when it builds a node. No header of PyTorch is needed: the mangled names
// fix the signatures, and they have been the same since 1.13 (whose totals were signed: the EPvlll name).
//
// Called under the allocator's lock: nothing here takes the GIL or calls CUDA. (An OOM is the exception: the driver is
// asked for its free memory, as the allocator itself is about to do.)
#include <cstdint>
#include <cstdlib>

#include <atomic>

#include "interpose/core/hot.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/elf.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/python/agent.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/torch/torch.hpp"

namespace {

using namespace vramtrack;

struct Device {  // c10::Device
  std::int8_t type;
  std::int8_t index;
};
constexpr std::int8_t cuda_device = 1;

constexpr char own_address = 0;  // an address in this library

/// The real function behind one of these exports, or the next interposer's. A failed search is remembered too: these
/// are hot.
template <class Function>
class RealFunction {
 public:
  Function* get(const char* soname, const char* name) noexcept {
    void* found = found_.load(std::memory_order_acquire);
    if (found == nullptr) [[unlikely]]
      found = search(soname, name);
    return found == absent() ? nullptr : reinterpret_cast<Function*>(found);
  }

 private:
  static void* absent() noexcept { return reinterpret_cast<void*>(1); }
  VRAMTRACK_COLD void* search(const char* soname, const char* name) noexcept {
    const SavedErrno keep;
    const SignalsWait signals_wait;
    // Another interposer of the same function (the simulated GPU is one) must see the call too.
    void* found = hooks::symbol_after(&own_address, name);
    if (found == nullptr) found = hooks::symbol_of(hooks::find_module(soname), name);
    if (found == nullptr) found = absent();
    found_.store(found, std::memory_order_release);
    return found;
  }
  std::atomic<void*> found_{nullptr};
};

void record_block(void* pointer, std::int64_t size, std::uint64_t allocated, std::uint64_t reserved, Device device,
                  const CaptureStart& here) noexcept {
  if (device.type != cuda_device || size == 0) return;
  const HookScope scope;
  if (!scope.outermost() || !(size > 0 ? recording() : tracing())) return;
  const auto address = reinterpret_cast<std::uint64_t>(pointer);
  if (size > 0)
    record_alloc({Layer::tensor, Kind::block, device.index, address, static_cast<std::uint64_t>(size), 0, reserved},
                 here);
  else
    record_drop({Layer::tensor, device.index, Kind::block, address, reserved});
  agent::watch(size > 0, allocated);
}

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))
#define REPORT_MEMORY _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE
#define REPORT_MEMORY_SIGNED _ZN3c1027reportMemoryUsageToProfilerEPvlllNS_6DeviceE
#define REPORT_OOM _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE
#define REPORT_OOM_SIGNED _ZN3c1027reportOutOfMemoryToProfilerElllNS_6DeviceE
#define NEXT_SEQUENCE _ZN2at15sequence_number17get_and_incrementEv
#define TEXT_OF(name) #name
#define NAME_OF(name) TEXT_OF(name)

// c10::reportMemoryUsageToProfiler(void* ptr, int64_t size, size_t total_allocated, size_t total_reserved, Device)
#define MEMORY_HOOK(name)                                                                                              \
  EXPORT void name(void* pointer, std::int64_t size, std::uint64_t allocated, std::uint64_t reserved, Device device) { \
    const CaptureStart here = VRAMTRACK_HERE();                                                                        \
    record_block(pointer, size, allocated, reserved, device, here);                                                    \
    static constinit RealFunction<void(void*, std::int64_t, std::uint64_t, std::uint64_t, Device)> real;               \
    if (auto* forward = real.get("libc10.so", NAME_OF(name))) forward(pointer, size, allocated, reserved, device);     \
  }
MEMORY_HOOK(REPORT_MEMORY)
MEMORY_HOOK(REPORT_MEMORY_SIGNED)

// c10::reportOutOfMemoryToProfiler(int64_t size, size_t total_allocated, size_t total_reserved, Device)
#define OOM_HOOK(name)                                                                                        \
  EXPORT void name(std::int64_t size, std::uint64_t allocated, std::uint64_t reserved, Device device) {       \
    const CaptureStart here = VRAMTRACK_HERE();                                                               \
    if (device.type == cuda_device) {                                                                         \
      const HookScope scope;                                                                                  \
      if (scope.outermost() && recording())                                                                   \
        record_oom(Layer::tensor, device.index, static_cast<std::uint64_t>(size), allocated, reserved, here); \
    }                                                                                                         \
    static constinit RealFunction<void(std::int64_t, std::uint64_t, std::uint64_t, Device)> real;             \
    if (auto* forward = real.get("libc10.so", NAME_OF(name))) forward(size, allocated, reserved, device);     \
  }
OOM_HOOK(REPORT_OOM)
OOM_HOOK(REPORT_OOM_SIGNED)

// uint64_t at::sequence_number::get_and_increment()
EXPORT std::uint64_t NEXT_SEQUENCE() {
  const CaptureStart here = VRAMTRACK_HERE();
  static constinit RealFunction<std::uint64_t()> real;
  auto* forward = real.get("libtorch_cpu.so", NAME_OF(NEXT_SEQUENCE));
  if (forward == nullptr) return 0;
  const std::uint64_t number = forward();
  const HookScope scope;
  if (scope.outermost()) {
    const SavedErrno keep;
    stacks::remember_forward(number, here);
  }
  return number;
}

namespace vramtrack::hooks::torch {

bool reports_refusals(std::uintptr_t caller, Kind kind) noexcept {
  if (kind == Kind::pool) return false;  // the cudaMallocAsync back end neither retries nor reports
  if (const char* text = std::getenv("PYTORCH_NO_CUDA_MEMORY_CACHING"); text != nullptr && *text != 0) return false;
  return called_by_torch(caller);
}

}  // namespace vramtrack::hooks::torch
