// The simulated runtime: error state, laziness, and that all of its memory is the driver's.
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <algorithm>
#include <string>
#include <thread>

#include "sim_test.hpp"

TEST_CASE("the runtime and the driver keep one set of books") {
  void* a = nullptr;
  REQUIRE(cudaMalloc(&a, 5 * MiB) == cudaSuccess);  // initializes by itself
  CHECK(live(VRAMTRACK_SIM_DEVICE) == 5 * MiB);
  CHECK(cuMemFree(reinterpret_cast<CUdeviceptr>(a)) == CUDA_SUCCESS);
  CHECK(cudaFree(a) == cudaErrorInvalidValue);
  CHECK(cudaFree(nullptr) == cudaSuccess);
  void* zero = &a;
  CHECK(cudaMalloc(&zero, 0) == cudaSuccess);
  CHECK(zero == nullptr);

  size_t pitch = 0;
  REQUIRE(cudaMallocPitch(&a, &pitch, 1000, 10) == cudaSuccess);
  CHECK(pitch == 1024);
  CHECK(live(VRAMTRACK_SIM_DEVICE) == pitch * 10);
  CHECK(cudaFree(a) == cudaSuccess);
  cudaPitchedPtr volume{};
  REQUIRE(cudaMalloc3D(&volume, cudaExtent{100, 7, 3}) == cudaSuccess);
  CHECK(live(VRAMTRACK_SIM_DEVICE) == volume.pitch * 7 * 3);
  CHECK(cudaFree(volume.ptr) == cudaSuccess);
}

TEST_CASE("the last error is kept, given once, and per thread") {
  CHECK(cudaGetLastError() == cudaSuccess);
  void* a = nullptr;
  CHECK(cudaMalloc(&a, 2048 * MiB) == cudaErrorMemoryAllocation);
  CHECK(cudaPeekAtLastError() == cudaErrorMemoryAllocation);
  std::thread([] { CHECK(cudaPeekAtLastError() == cudaSuccess); }).join();
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
  CHECK(cudaSetDevice(9) == cudaErrorInvalidDevice);
  CHECK(std::string(cudaGetErrorString(cudaGetLastError())) == "invalid device ordinal");
}

TEST_CASE("each thread has its device") {
  REQUIRE(cudaSetDevice(1) == cudaSuccess);
  void* a = nullptr;
  REQUIRE(cudaMalloc(&a, MiB) == cudaSuccess);
  CHECK(live(VRAMTRACK_SIM_DEVICE, 1) == MiB);
  std::thread([] {
    int device = -1;
    CHECK(cudaGetDevice(&device) == cudaSuccess);
    CHECK(device == 0);
  }).join();
  cudaPointerAttributes attributes{};
  REQUIRE(cudaPointerGetAttributes(&attributes, static_cast<char*>(a) + 5) == cudaSuccess);
  CHECK(attributes.type == cudaMemoryTypeDevice);
  CHECK(attributes.device == 1);
  int host = 0;
  REQUIRE(cudaPointerGetAttributes(&attributes, &host) == cudaSuccess);
  CHECK(attributes.type == cudaMemoryTypeUnregistered);
  REQUIRE(cudaDeviceReset() == cudaSuccess);
  CHECK(live(VRAMTRACK_SIM_DEVICE, 1) == 0);
  REQUIRE(cudaMalloc(&a, MiB) == cudaSuccess);  // the device comes back by itself
  CHECK(live(VRAMTRACK_SIM_DEVICE, 1) == MiB);
}

TEST_CASE("both runtime majors in one process share the driver") {
  void* const old = dlopen(SIM_FOLDER "/libcudart.so.12", RTLD_NOW | RTLD_LOCAL);
  REQUIRE(old != nullptr);
  const auto malloc_12 = reinterpret_cast<decltype(&::cudaMalloc)>(dlvsym(old, "cudaMalloc", "libcudart.so.12"));
  const auto version_12 = reinterpret_cast<decltype(&::cudaRuntimeGetVersion)>(dlsym(old, "cudaRuntimeGetVersion"));
  REQUIRE(malloc_12 != nullptr);
  REQUIRE(malloc_12 != &::cudaMalloc);
  int version = 0;
  CHECK(version_12(&version) == cudaSuccess);
  CHECK(version == 12090);
  CHECK(cudaRuntimeGetVersion(&version) == cudaSuccess);
  CHECK(version == 13000);
  void *a = nullptr, *b = nullptr;
  REQUIRE(malloc_12(&a, 2 * MiB) == cudaSuccess);
  REQUIRE(cudaMalloc(&b, 3 * MiB) == cudaSuccess);
  CHECK(live(VRAMTRACK_SIM_DEVICE) == 5 * MiB);
  CHECK(cudaFree(a) == cudaSuccess);
  CHECK(cudaFree(b) == cudaSuccess);

  // CUDA 12's cudaDeviceProp is 1032 bytes, and ends elsewhere than 13's.
  alignas(8) unsigned char properties[1200];
  std::fill(std::begin(properties), std::end(properties), static_cast<unsigned char>(0xee));
  const auto get = reinterpret_cast<int (*)(void*, int)>(dlsym(old, "cudaGetDeviceProperties_v2"));
  REQUIRE(get(properties, 0) == 0);
  CHECK(std::string(reinterpret_cast<char*>(properties)).find("H100") != std::string::npos);
  CHECK(properties[1032] == 0xee);
  CHECK(properties[1031] != 0xee);
}

TEST_CASE("driver entry points through the runtime keep version and status") {
  void *plain = nullptr, *per_thread = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  REQUIRE(cudaGetDriverEntryPointByVersion("cuMemAllocAsync", &plain, 12000, cudaEnableDefault, &result) ==
          cudaSuccess);
  CHECK(result == cudaDriverEntryPointSuccess);
  REQUIRE(cudaGetDriverEntryPointByVersion("cuMemAllocAsync", &per_thread, 12000, cudaEnablePerThreadDefaultStream,
                                           &result) == cudaSuccess);
  CHECK(plain != per_thread);
  REQUIRE(cudaGetDriverEntryPointByVersion("cuNo", &plain, 12000, cudaEnableDefault, &result) == cudaSuccess);
  CHECK(result == cudaDriverEntryPointSymbolNotFound);
  CHECK(plain == nullptr);
  REQUIRE(cudaGetDriverEntryPointByVersion("cuMemCreate", &plain, 10000, cudaEnableDefault, &result) == cudaSuccess);
  CHECK(result == cudaDriverEntryPointVersionNotSufficent);
}
