// A library to link against: the names of the hook table with a CUDA library's soname and version node. Never loaded:
// the simulated GPU has the same sonames and is preloaded.
#define STUB(name) \
  extern "C" __attribute__((visibility("default"))) void name() {}
#ifdef STUB_RUNTIME
#define STUB_runtime(name) STUB(name)
#define STUB_driver(name)
#else
#define STUB_runtime(name)
#define STUB_driver(name) STUB(name)
#endif
#define HOOK(api, since, name, parameters, arguments, policy) STUB_##api(name)
#include "contract/cuda_hooks.def"
