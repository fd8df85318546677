// A library whose names begin with "cu" and that looks itself up the way cuDNN's front library does: through RTLD_NEXT
// and RTLD_DEFAULT. An interposed dlsym that answered by prefix, or with a frame of its own, would send it in circles.
#include <dlfcn.h>

extern "C" __attribute__((visibility("default"))) int cudnnCreate(int depth) {
  using Create = int (*)(int);
  if (depth > 3) return 1000;
  auto* next = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "cudnnCreate"));  // of whatever comes after this library
  return next == nullptr ? 40 + depth : next(depth + 1);
}
extern "C" __attribute__((visibility("default"))) int cublasCreate_v2(int) {
  return dlsym(RTLD_DEFAULT, "cudnnCreate") == nullptr ? 7 : 8;
}
