// cuRAND's host interface: generators that generate nothing (names/curand.def). Prototypes are our own: cuRAND's
// headers are not needed to build.
#include <cstddef>

namespace {

enum Status { success = 0, not_initialized = 101, out_of_range = 104 };

struct Generator {};

int create(void** out) {
  if (out == nullptr) return out_of_range;
  *out = new Generator;
  return success;
}

}  // namespace

extern "C" {

int curandCreateGenerator(void** generator, int) { return create(generator); }
int curandCreateGeneratorHost(void** generator, int) { return create(generator); }
int curandDestroyGenerator(void* generator) {
  if (generator == nullptr) return not_initialized;
  delete static_cast<Generator*>(generator);
  return success;
}
int curandGetVersion(int* version) {
  if (version == nullptr) return out_of_range;
  *version = SIM_CURAND_VERSION;
  return success;
}
int curandGetProperty(int type, int* value) {
  if (value == nullptr || type < 0 || type > 2) return out_of_range;
  constexpr int parts[] = {SIM_CURAND_VERSION / 1000, SIM_CURAND_VERSION / 100 % 10, SIM_CURAND_VERSION % 100};
  *value = parts[type];
  return success;
}
}
