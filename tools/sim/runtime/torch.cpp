// PyTorch and cuDNN: cuDNN is not simulated, so PyTorch must not choose it. Its switches are exported member functions
// of at::Context: found in the process once libtorch_cpu.so is there, they are set through the functions that
// torch.backends.cudnn.enabled and torch.backends.cuda.enable_cudnn_sdp use.
#include <dlfcn.h>

#include <initializer_list>

#include "tools/sim/runtime/runtime.hpp"

namespace vramtrack::sim {

void prepare_frameworks() {
  void* torch = dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
  if (torch == nullptr) return;
  const auto context = reinterpret_cast<void* (*)()>(dlsym(torch, "_ZN2at13globalContextEv"));
  if (context == nullptr) return;
  for (const char* name : {"_ZN2at7Context19setUserEnabledCuDNNEb", "_ZN2at7Context14setSDPUseCuDNNEb"}) {
    const auto set = reinterpret_cast<void (*)(void*, bool)>(dlsym(torch, name));
    if (set != nullptr) set(context(), false);
  }
}

}  // namespace vramtrack::sim
