// What PyTorch is told about the simulation, through functions of its own that it calls through the PLT: preloaded
// definitions win. Nothing of PyTorch is needed to build; in a program without PyTorch nobody calls these.
//
// - cuDNN is not simulated: at::Context says that the user has switched it off (and its attention kernels).
// - A block that the caching allocator hands out reads as zero, like fresh memory: kernels write nothing here, and what
//   an earlier tensor left in a reused block could otherwise be taken for a result (a count, a size).
#include <cstdint>

#include <dlfcn.h>

#include "sim/driver/copy.hpp"
#include "sim/driver/state.hpp"
#include "sim/torch/values.hpp"

using namespace vramtrack::sim;

namespace {

struct TorchDevice {  // c10::Device
  std::int8_t type;
  std::int8_t index;
};
constexpr std::int8_t cuda_type = 1;

using Report = void(void*, std::int64_t, std::uint64_t, std::uint64_t, TorchDevice);

// Before PyTorch's first operator: an operator that is observed has other native frames, and one line of a program is
// to have one native stack.
[[gnu::constructor]] void watch_from_the_start() { g_when_initialised = watch_values; }

}  // namespace

#define REPORT_MEMORY _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE
#define TEXT_OF(name) #name
#define NAME_OF(name) TEXT_OF(name)

extern "C" {

// bool at::Context::userEnabledCuDNN() const
bool _ZNK2at7Context16userEnabledCuDNNEv(const void*) { return false; }
// bool at::Context::userEnabledCuDNNSDP() const
bool _ZNK2at7Context19userEnabledCuDNNSDPEv(const void*) { return false; }

// c10::reportMemoryUsageToProfiler(void* pointer, int64_t size, size_t allocated, size_t reserved, Device)
void REPORT_MEMORY(void* pointer, std::int64_t size, std::uint64_t allocated, std::uint64_t reserved,
                   TorchDevice device) {
  if (device.type == cuda_type && size > 0) {
    watch_values();
    forget_bytes(reinterpret_cast<std::uint64_t>(pointer), static_cast<std::uint64_t>(size));
  }
  // PyTorch's own profiler: libc10 is loaded RTLD_LOCAL, so RTLD_NEXT would not find it.
  static Report* const real = [] {
    void* const library = dlopen("libc10.so", RTLD_NOW | RTLD_NOLOAD);
    return library == nullptr ? nullptr : reinterpret_cast<Report*>(dlsym(library, NAME_OF(REPORT_MEMORY)));
  }();
  if (real != nullptr) real(pointer, size, allocated, reserved, device);
}
}
