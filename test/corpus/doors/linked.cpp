// The linked way: references to every name of the table, bound by the dynamic linker with the version of the runtime
// that the program was linked to. Weak, since a few names exist in one major only.
#include <cstring>

#include "test/corpus/doors/doors.hpp"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define DO_PRAGMA(text) _Pragma(#text)
#define WEAK(name) DO_PRAGMA(weak name)
#define HOOK(api, since, name, parameters, arguments, policy) WEAK(name)
#include "contract/cuda_hooks.def"
#undef HOOK

void* doors::find_linked(const char* wanted) {
#define HOOK(api, since, name, parameters, arguments, policy) \
  if (std::strcmp(#name, wanted) == 0) return reinterpret_cast<void*>(&::name);
#include "contract/cuda_hooks.def"
#undef HOOK
  return nullptr;
}
