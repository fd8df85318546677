#include "sim_test.hpp"

#include <cstdlib>

namespace {
const int g_environment = setenv("VRAMTRACK_SIM", "2x1GiB", 1);
}

SimDevice::SimDevice() {
  REQUIRE(g_environment == 0);
  REQUIRE(cuInit(0) == CUDA_SUCCESS);
  REQUIRE(cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS);
  REQUIRE(cuCtxSetCurrent(context) == CUDA_SUCCESS);
}

vramtrack_sim_figures figures(int device) {
  vramtrack_sim_figures out{};
  out.size = sizeof out;
  REQUIRE(vramtrack_sim_stats(device, &out) == 0);
  return out;
}
