// The way of a library that carries its own runtime (cuBLAS, NCCL, CuPy): the runtime's functions are the program's
// own, no hook is around them, and the double reports them. What they ask of the driver goes through its look-up, that
// is, through the hooks, and below these the double reports it too.
#include <dlfcn.h>

#include <cstring>

#include "test/corpus/doors/reported.hpp"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

// The runtime inside looks for the driver's look-up in libcuda.so.1 itself, where the double cannot stand in the way.
extern "C" void* __real_dlsym(void* handle, const char* name);
extern "C" void* __wrap_dlsym(void* handle, const char* name);
void* __wrap_dlsym(void* handle, const char* name) {
  return __real_dlsym(std::strcmp(name, "cuGetProcAddress_v2") == 0 ? RTLD_DEFAULT : handle, name);
}

namespace doors {

void* find_linked(const char* wanted);  // of doors.hpp, whose headers do not go with CUPTI's
void* find_linked(const char* wanted) {
  static Tell* const tell = reinterpret_cast<Tell*>(dlsym(RTLD_DEFAULT, "double_tells"));
#define DRIVER(name)
#define RUNTIME(name, version)         \
  if (std::strcmp(#name, wanted) == 0) \
    return REPORTED_RUNTIME(name, version)::over(#name, reinterpret_cast<void*>(&::name), tell);
#include "test/corpus/doors/reported.def"
#undef RUNTIME
#undef DRIVER
  return nullptr;
}

}  // namespace doors
