// cuRAND's host interface: generators that generate nothing (names/curand.def). Prototypes are our own: cuRAND's
// headers are not needed to build.
#include "sim/math/handles.hpp"

namespace {

enum Status { not_initialized = 101, out_of_range = 104 };

struct Generator {};

int create(void** out) { return vramtrack::sim::create<Generator>(out, out_of_range); }

}  // namespace

extern "C" {

int curandCreateGenerator(void** generator, int) { return create(generator); }
int curandCreateGeneratorHost(void** generator, int) { return create(generator); }
int curandDestroyGenerator(void* generator) { return vramtrack::sim::destroy<Generator>(generator, not_initialized); }
int curandGetVersion(int* version) { return vramtrack::sim::give(version, SIM_CURAND_VERSION, out_of_range); }
int curandGetProperty(int type, int* value) {
  return vramtrack::sim::give_version_part(type, value, SIM_CURAND_VERSION, 1000, out_of_range);
}
}
