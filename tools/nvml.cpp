#include "tools/nvml.hpp"

#include <dlfcn.h>

#include <algorithm>

namespace vramtrack::tools {
namespace {

// The parts of nvml.h that are used; the library is only ever opened at run time.
using NvmlDevice = void*;
struct NvmlProcessInfo {  // nvmlProcessInfo_t since driver 470
  unsigned pid;
  unsigned long long used_bytes;  // all ones: not available
  unsigned gpu_instance, compute_instance;
};
constexpr int nvml_success = 0, nvml_insufficient_size = 7;

class Nvml {
 public:
  Nvml() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr) return;
    load(init_, "nvmlInit_v2");
    load(shutdown_, "nvmlShutdown");
    load(count_, "nvmlDeviceGetCount_v2");
    load(handle_, "nvmlDeviceGetHandleByIndex_v2");
    load(compute_, "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2");
    load(graphics_, "nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2");
    usable_ = init_ && shutdown_ && count_ && handle_ && init_() == nvml_success;
  }
  ~Nvml() {
    if (usable_) shutdown_();
    if (library_ != nullptr) dlclose(library_);
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  std::vector<GpuUse> processes() const {
    std::vector<GpuUse> uses;
    unsigned devices = 0;
    if (!usable_ || count_(&devices) != nvml_success) return uses;
    for (unsigned device = 0; device < devices; ++device) {
      NvmlDevice handle = nullptr;
      if (handle_(device, &handle) != nvml_success) continue;
      for (const auto list : {compute_, graphics_}) add(uses, list, handle, device);
    }
    return uses;
  }

 private:
  using List = int (*)(NvmlDevice, unsigned*, NvmlProcessInfo*);

  template <typename Function>
  void load(Function& function, const char* name, const char* older = nullptr) {
    function = reinterpret_cast<Function>(dlsym(library_, name));
    if (!function && older != nullptr) function = reinterpret_cast<Function>(dlsym(library_, older));
  }

  static void add(std::vector<GpuUse>& uses, List list, NvmlDevice handle, unsigned device) {
    if (!list) return;
    std::vector<NvmlProcessInfo> found(64);
    for (int attempt = 0; attempt < 4; ++attempt) {  // processes may come between asking and answering
      auto count = static_cast<unsigned>(found.size());
      const int result = list(handle, &count, found.data());
      if (result == nvml_insufficient_size) {
        found.resize(count + 64);
        continue;
      }
      if (result != nvml_success) return;
      found.resize(count);
      for (const NvmlProcessInfo& one : found) {
        const auto pid = static_cast<pid_t>(one.pid);
        const auto same = [&](const GpuUse& use) { return use.pid == pid && use.device == device; };
        if (std::any_of(uses.begin(), uses.end(), same)) continue;
        uses.push_back({pid, device, one.used_bytes == ~0ull ? std::nullopt : std::optional(one.used_bytes)});
      }
      return;
    }
  }

  void* library_;
  int (*init_)() = nullptr;
  int (*shutdown_)() = nullptr;
  int (*count_)(unsigned*) = nullptr;
  int (*handle_)(unsigned, NvmlDevice*) = nullptr;
  List compute_ = nullptr, graphics_ = nullptr;
  bool usable_ = false;
};

}  // namespace

std::vector<GpuUse> gpu_processes() { return Nvml().processes(); }

}  // namespace vramtrack::tools
