// What the simulated math libraries share: the runtime of their CUDA major, found where the process has it.
#pragma once

#include <dlfcn.h>

namespace vramtrack::sim {

/// A function of libcudart.so.MAJOR (SIM_CUDART_SONAME), or nullptr. Found through the dynamic linker on each call
/// site, so that tools that hook look-ups see these calls as they see those of NVIDIA's libraries.
template <typename Function>
Function* runtime_function(const char* name) {
  void* const library = dlopen(SIM_CUDART_SONAME, RTLD_NOW);
  return library == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(library, name));
}

}  // namespace vramtrack::sim
