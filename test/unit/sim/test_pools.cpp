#include "sim_test.hpp"

namespace {

cuuint64_t attribute(CUmemoryPool pool, CUmemPool_attribute which) {
  cuuint64_t value = 0;
  REQUIRE(cuMemPoolGetAttribute(pool, which, &value) == CUDA_SUCCESS);
  return value;
}

}  // namespace

TEST_CASE("pools keep what is freed until a synchronization, and count used and reserved bytes") {
  const SimDevice device;
  const std::uint64_t before = figures().used_bytes;
  CUmemoryPool pool = nullptr;
  REQUIRE(cuDeviceGetDefaultMemPool(&pool, 0) == CUDA_SUCCESS);
  CUdeviceptr a = 0, b = 0;
  REQUIRE(cuMemAllocAsync(&a, 10 * MiB, nullptr) == CUDA_SUCCESS);
  REQUIRE(cuMemAllocAsync(&b, 1000, nullptr) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_POOL) == 10 * MiB + 1000);
  CHECK(attribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 10 * MiB + 1024);
  CHECK(attribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) == 32 * MiB);
  CHECK(figures().used_bytes == before + 32 * MiB);
  REQUIRE(cuMemFreeAsync(a, nullptr) == CUDA_SUCCESS);
  CHECK(attribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT) == 1024);
  CHECK(attribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH) == 10 * MiB + 1024);
  CHECK(figures().used_bytes == before + 32 * MiB);
  REQUIRE(cuStreamSynchronize(nullptr) == CUDA_SUCCESS);
  CHECK(figures().used_bytes == before + 2 * MiB);
  REQUIRE(cuMemFree(b) == CUDA_SUCCESS);  // a plain free takes pool memory too
  CHECK(cuMemFreeAsync(b, nullptr) == CUDA_ERROR_INVALID_VALUE);
  cuuint64_t zero = 0;
  REQUIRE(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &zero) == CUDA_SUCCESS);
  CHECK(attribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH) == 0);
}

TEST_CASE("a release threshold keeps memory, and need takes it back") {
  const SimDevice device;
  CUmemoryPool pool = nullptr;
  REQUIRE(cuDeviceGetDefaultMemPool(&pool, 0) == CUDA_SUCCESS);
  cuuint64_t all = ~0ull;
  REQUIRE(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &all) == CUDA_SUCCESS);
  CUdeviceptr block = 0, large = 0;
  REQUIRE(cuMemAllocAsync(&block, 600 * MiB, nullptr) == CUDA_SUCCESS);
  REQUIRE(cuMemFreeAsync(block, nullptr) == CUDA_SUCCESS);
  REQUIRE(cuCtxSynchronize() == CUDA_SUCCESS);
  CHECK(figures().pool_reserved_bytes == 608 * MiB);
  REQUIRE(cuMemAlloc(&large, 900 * MiB) == CUDA_SUCCESS);  // the unused pool memory is given back for it
  CHECK(figures().pool_reserved_bytes == 0);
  CHECK(cuMemAllocAsync(&block, 600 * MiB, nullptr) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(cuMemFree(large) == CUDA_SUCCESS);
}

TEST_CASE("an explicit pool's blocks outlive it; trimming keeps what is used") {
  const SimDevice device;
  const std::uint64_t before = figures().used_bytes;
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  properties.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  CUmemoryPool pool = nullptr;
  REQUIRE(cuMemPoolCreate(&pool, &properties) == CUDA_SUCCESS);
  CUdeviceptr a = 0, b = 0;
  REQUIRE(cuMemAllocFromPoolAsync(&a, 3 * MiB, pool, nullptr) == CUDA_SUCCESS);
  REQUIRE(cuMemAllocFromPoolAsync(&b, 3 * MiB, pool, nullptr) == CUDA_SUCCESS);
  REQUIRE(cuMemPoolTrimTo(pool, 0) == CUDA_SUCCESS);
  CHECK(figures().used_bytes == before + 6 * MiB);
  REQUIRE(cuMemPoolDestroy(pool) == CUDA_SUCCESS);
  CHECK(cuMemPoolDestroy(pool) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuMemAllocFromPoolAsync(&b, 16, pool, nullptr) == CUDA_ERROR_INVALID_VALUE);
  CHECK(live(VRAMTRACK_SIM_POOL) == 6 * MiB);
  CHECK(cuMemFreeAsync(a, nullptr) == CUDA_SUCCESS);
  CHECK(cuMemFreeAsync(b, nullptr) == CUDA_SUCCESS);
  CHECK(figures().used_bytes == before);
}
