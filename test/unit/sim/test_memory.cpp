#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "sim_test.hpp"

TEST_CASE("a device's figures add up") {
  const SimDevice device;
  const auto before = figures();
  CHECK(before.total_bytes == 1024 * MiB);
  CHECK(before.used_bytes == before.context_bytes);
  CHECK(before.context_bytes == 16 * MiB);
  CHECK(before.total_bytes - before.free_bytes == before.used_bytes);

  CUdeviceptr large = 0, small = 0;
  REQUIRE(cuMemAlloc(&large, 3 * MiB + 1) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_DEVICE) == 3 * MiB + 1);
  CHECK(figures().used_bytes - before.used_bytes == 4 * MiB);
  REQUIRE(cuMemAlloc(&small, 1) == CUDA_SUCCESS);
  CHECK(small % 256 == 0);
  CHECK(figures().used_bytes - before.used_bytes == 6 * MiB);
  CUdeviceptr another = 0;
  REQUIRE(cuMemAlloc(&another, 1000) == CUDA_SUCCESS);
  CHECK(figures().used_bytes - before.used_bytes == 6 * MiB);  // shares the page of small ones
  CHECK(count(VRAMTRACK_SIM_DEVICE) == 3);

  size_t free = 0, total = 0;
  REQUIRE(cuMemGetInfo(&free, &total) == CUDA_SUCCESS);
  CHECK(free == figures().free_bytes);
  CHECK(total == figures().total_bytes);

  for (const CUdeviceptr address : {large, small, another}) CHECK(cuMemFree(address) == CUDA_SUCCESS);
  CHECK(cuMemFree(large) == CUDA_ERROR_INVALID_VALUE);  // freed twice
  CHECK(cuMemFree(0) == CUDA_SUCCESS);
  CHECK(figures().used_bytes == before.used_bytes);
  CHECK(live(VRAMTRACK_SIM_DEVICE) == 0);
}

TEST_CASE("memory runs out at the device's size, and comes back") {
  const SimDevice device;
  std::vector<CUdeviceptr> all;
  CUdeviceptr address = 0;
  CUresult status = CUDA_SUCCESS;
  while ((status = cuMemAlloc(&address, 100 * MiB)) == CUDA_SUCCESS) all.push_back(address);
  CHECK(status == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(all.size() == 10);  // 1024 MiB less 16 for the context
  CHECK(figures().failures == 1);
  REQUIRE(cuMemFree(all.back()) == CUDA_SUCCESS);
  CHECK(cuMemAlloc(&all.back(), 100 * MiB) == CUDA_SUCCESS);
  CHECK(cuMemAlloc(&address, ~0ull) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(figures(1).used_bytes == 0);  // the other device is untouched
}

TEST_CASE("wrong arguments are refused without a crash") {
  CUdeviceptr address = 0;
  CHECK(cuMemAlloc(&address, 16) == CUDA_ERROR_NOT_INITIALIZED);
  const SimDevice device;
  CHECK(cuMemAlloc(nullptr, 16) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuMemAlloc(&address, 0) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuMemFreeHost(&address) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuStreamSynchronize(reinterpret_cast<CUstream>(&address)) == CUDA_ERROR_INVALID_HANDLE);
  char host[16] = {};
  CHECK(cuMemcpyHtoD(reinterpret_cast<CUdeviceptr>(host), host, 16) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE(cuMemAlloc(&address, 16) == CUDA_SUCCESS);
  CHECK(cuMemcpyHtoD(address, host, 4096) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuCtxSetCurrent(nullptr) == CUDA_SUCCESS);
  CHECK(cuMemAlloc(&address, 16) == CUDA_ERROR_INVALID_CONTEXT);
}

TEST_CASE("copies copy, fills fill, and fresh memory is zero") {
  const SimDevice device;
  CUdeviceptr a = 0, b = 0;
  REQUIRE(cuMemAlloc(&a, 4 * MiB) == CUDA_SUCCESS);
  REQUIRE(cuMemAlloc(&b, 4 * MiB) == CUDA_SUCCESS);
  std::vector<unsigned char> host(4 * MiB, 7), back(4 * MiB, 9);
  REQUIRE(cuMemcpyDtoH(back.data(), a, back.size()) == CUDA_SUCCESS);
  CHECK(back == std::vector<unsigned char>(4 * MiB, 0));
  REQUIRE(cuMemcpyHtoD(a, host.data(), host.size()) == CUDA_SUCCESS);
  REQUIRE(cuMemsetD32(a + 4096, 0x01020304, 2) == CUDA_SUCCESS);
  REQUIRE(cuMemcpyDtoD(b, a, host.size()) == CUDA_SUCCESS);
  REQUIRE(cuMemcpyDtoH(back.data(), b, back.size()) == CUDA_SUCCESS);
  const unsigned words[2] = {0x01020304, 0x01020304};
  std::memcpy(host.data() + 4096, words, 8);
  CHECK(back == host);
  REQUIRE(cuMemFree(a) == CUDA_SUCCESS);
  REQUIRE(cuMemAlloc(&a, 4 * MiB) == CUDA_SUCCESS);
  REQUIRE(cuMemcpyDtoH(back.data(), a, back.size()) == CUDA_SUCCESS);
  CHECK(back == std::vector<unsigned char>(4 * MiB, 0));  // reused, but nothing shines through
}

TEST_CASE("what frees everything frees everything but pool blocks") {
  SimDevice device;
  CUdeviceptr address = 0, pooled = 0;
  CUarray array = nullptr;
  void* host = nullptr;
  CUDA_ARRAY_DESCRIPTOR description{64, 64, CU_AD_FORMAT_FLOAT, 4};
  REQUIRE(cuMemAlloc(&address, 3 * MiB) == CUDA_SUCCESS);
  REQUIRE(cuMemAllocAsync(&pooled, 3 * MiB, nullptr) == CUDA_SUCCESS);
  REQUIRE(cuMemHostAlloc(&host, 4096, 0) == CUDA_SUCCESS);
  REQUIRE(cuArrayCreate(&array, &description) == CUDA_SUCCESS);

  SECTION("primary context reset") {
    REQUIRE(cuDevicePrimaryCtxReset(0) == CUDA_SUCCESS);
    CHECK(figures().used_bytes == 4 * MiB);  // the pool's page
  }
  SECTION("last release of the primary context") {
    REQUIRE(cuDevicePrimaryCtxRetain(&device.context, 0) == CUDA_SUCCESS);
    REQUIRE(cuDevicePrimaryCtxRelease(0) == CUDA_SUCCESS);
    CHECK(live(VRAMTRACK_SIM_DEVICE) == 3 * MiB);  // not the last one
    CUresult status = CUDA_SUCCESS;
    while (status == CUDA_SUCCESS) status = cuDevicePrimaryCtxRelease(0);
    CHECK(status == CUDA_ERROR_INVALID_CONTEXT);
    CHECK(figures().used_bytes == 4 * MiB);  // the pool's page
  }
  SECTION("a context of its own") {
    CUcontext own = nullptr;
    CUdeviceptr inside = 0;
    REQUIRE(cuCtxCreate(&own, nullptr, 0, 1) == CUDA_SUCCESS);
    REQUIRE(cuMemAlloc(&inside, MiB) == CUDA_SUCCESS);
    CHECK(live(VRAMTRACK_SIM_DEVICE, 1) == MiB);
    REQUIRE(cuCtxDestroy(own) == CUDA_SUCCESS);
    CHECK(figures(1).used_bytes == 0);
    CUcontext now = nullptr;
    REQUIRE(cuCtxGetCurrent(&now) == CUDA_SUCCESS);
    CHECK(now == device.context);
    CHECK(live(VRAMTRACK_SIM_DEVICE) == 3 * MiB);  // the primary context's is untouched
    CHECK(cuMemFree(pooled) == CUDA_SUCCESS);
    CHECK(cuDevicePrimaryCtxReset(0) == CUDA_SUCCESS);
    return;
  }
  CUcontext again = nullptr;
  REQUIRE(cuDevicePrimaryCtxRetain(&again, 0) == CUDA_SUCCESS);
  REQUIRE(cuCtxSetCurrent(again) == CUDA_SUCCESS);
  CHECK(cuMemFree(pooled) == CUDA_SUCCESS);
  for (int kind = 0; kind < VRAMTRACK_SIM_KINDS; ++kind) {
    CAPTURE(kind);
    CHECK(figures().live_bytes[kind] == 0);
    CHECK(figures().live_count[kind] == 0);
  }
}

TEST_CASE("host, registered and managed memory take no device memory") {
  const SimDevice device;
  const auto before = figures();
  void* host = nullptr;
  CUdeviceptr managed = 0;
  std::vector<char> own(10000);
  REQUIRE(cuMemHostAlloc(&host, 5000, CU_MEMHOSTALLOC_PORTABLE) == CUDA_SUCCESS);
  REQUIRE(cuMemHostRegister(own.data(), own.size(), 0) == CUDA_SUCCESS);
  CHECK(cuMemHostRegister(own.data(), 10, 0) == CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  REQUIRE(cuMemAllocManaged(&managed, 4096 * MiB, CU_MEM_ATTACH_GLOBAL) == CUDA_SUCCESS);  // more than the device has
  CHECK(figures().used_bytes == before.used_bytes);
  CHECK(live(VRAMTRACK_SIM_HOST_PINNED) == 5000);
  CHECK(live(VRAMTRACK_SIM_REGISTERED) == 10000);
  CHECK(live(VRAMTRACK_SIM_MANAGED) == 4096 * MiB);
  *reinterpret_cast<char*>(managed) = 1;  // the host may use it
  unsigned flags = 0;
  CHECK(cuMemHostGetFlags(&flags, host) == CUDA_SUCCESS);
  CHECK(flags == CU_MEMHOSTALLOC_PORTABLE);
  CHECK(cuMemFreeHost(host) == CUDA_SUCCESS);
  CHECK(cuMemHostUnregister(own.data()) == CUDA_SUCCESS);
  CHECK(cuMemHostUnregister(own.data()) == CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  CHECK(cuMemFree(managed) == CUDA_SUCCESS);
}

TEST_CASE("a forked child cannot use the parent's driver") {
  const SimDevice device;
  CUdeviceptr address = 0;
  REQUIRE(cuMemAlloc(&address, MiB) == CUDA_SUCCESS);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    CUdeviceptr other = 0;
    _exit(cuMemAlloc(&other, 16) == CUDA_ERROR_NOT_INITIALIZED && cuInit(0) == CUDA_ERROR_NOT_INITIALIZED ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(cuMemFree(address) == CUDA_SUCCESS);
}

TEST_CASE("live blocks are listed in the order of their allocation") {
  const SimDevice device;
  CUdeviceptr a = 0, b = 0;
  CUmemGenericAllocationHandle handle = 0;
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  REQUIRE(cuMemAlloc(&a, 100) == CUDA_SUCCESS);
  REQUIRE(cuMemCreate(&handle, 2 * MiB, &properties, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemAlloc(&b, 200) == CUDA_SUCCESS);
  std::vector<vramtrack_sim_block> blocks;
  vramtrack_sim_live(
      [](const vramtrack_sim_block* block, void* out) {
        static_cast<std::vector<vramtrack_sim_block>*>(out)->push_back(*block);
        return 0;
      },
      &blocks);
  REQUIRE(blocks.size() == 3);
  CHECK(blocks[0].address == a);
  CHECK(blocks[1].kind == VRAMTRACK_SIM_VMM);
  CHECK(blocks[1].bytes == 2 * MiB);
  CHECK(blocks[2].address == b);
  CHECK(blocks[2].bytes == 200);
}
