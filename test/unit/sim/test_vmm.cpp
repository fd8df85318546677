#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "sim_test.hpp"

namespace {

CUmemAllocationProp on_device(int device, bool exportable = false) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  if (exportable) properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  return properties;
}

}  // namespace

TEST_CASE("physical memory lives until it is released as often as taken, and unmapped") {
  const SimDevice device;
  const std::uint64_t before = figures().used_bytes;
  const CUmemAllocationProp properties = on_device(0);
  CUmemGenericAllocationHandle handle = 0, retained = 0;
  CUdeviceptr space = 0;
  REQUIRE(cuMemCreate(&handle, 4 * MiB, &properties, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemAddressReserve(&space, 16 * MiB, 0, 0, 0) == CUDA_SUCCESS);
  CHECK(figures().used_bytes == before + 4 * MiB);  // address space takes no memory
  REQUIRE(cuMemMap(space, 4 * MiB, 0, handle, 0) == CUDA_SUCCESS);
  CHECK(cuMemMap(space, 4 * MiB, 0, handle, 0) == CUDA_ERROR_ALREADY_MAPPED);
  CHECK(cuMemMap(space + 100, 4 * MiB, 0, handle, 0) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE(cuMemRetainAllocationHandle(&retained, reinterpret_cast<void*>(space + 5)) == CUDA_SUCCESS);
  CHECK(retained == handle);

  REQUIRE(cuMemRelease(handle) == CUDA_SUCCESS);
  REQUIRE(cuMemRelease(handle) == CUDA_SUCCESS);
  CHECK(cuMemRelease(handle) == CUDA_ERROR_INVALID_VALUE);  // only the mapping holds it now
  CHECK(live(VRAMTRACK_SIM_VMM) == 4 * MiB);
  CHECK(cuMemAddressFree(space, 16 * MiB) == CUDA_ERROR_INVALID_VALUE);  // still mapped
  REQUIRE(cuMemUnmap(space, 4 * MiB) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_VMM) == 0);
  CHECK(figures().used_bytes == before);
  CHECK(cuMemAddressFree(space, 16 * MiB) == CUDA_SUCCESS);
}

TEST_CASE("two mappings of one handle show the same bytes; copies may span mappings") {
  const SimDevice device;
  const CUmemAllocationProp properties = on_device(0);
  CUmemGenericAllocationHandle first = 0, second = 0;
  CUdeviceptr space = 0;
  REQUIRE(cuMemCreate(&first, 2 * MiB, &properties, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemCreate(&second, 2 * MiB, &properties, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemAddressReserve(&space, 6 * MiB, 0, 0, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemMap(space, 2 * MiB, 0, first, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemMap(space + 2 * MiB, 2 * MiB, 0, second, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemMap(space + 4 * MiB, 2 * MiB, 0, first, 0) == CUDA_SUCCESS);
  CHECK(count(VRAMTRACK_SIM_VMM) == 2);
  const char text[] = "across the border";
  char back[sizeof text] = {};
  REQUIRE(cuMemcpyHtoD(space + 2 * MiB - 6, text, sizeof text) == CUDA_SUCCESS);
  REQUIRE(cuMemcpyDtoH(back, space + 6 * MiB - 6, 6) == CUDA_SUCCESS);
  CHECK(std::memcmp(back, text, 6) == 0);
  REQUIRE(cuMemcpyDtoH(back, space + 2 * MiB - 6, sizeof back) == CUDA_SUCCESS);
  CHECK(std::memcmp(back, text, sizeof text) == 0);
  CHECK(cuMemUnmap(space, 6 * MiB) == CUDA_SUCCESS);  // whole mappings at once
  CHECK(cuMemRelease(first) == CUDA_SUCCESS);
  CHECK(cuMemRelease(second) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_VMM) == 0);
}

TEST_CASE("physical memory runs out, and only device memory counts") {
  const SimDevice device;
  CUmemGenericAllocationHandle handle = 0, host = 0;
  const CUmemAllocationProp properties = on_device(0);
  CHECK(cuMemCreate(&handle, 1024 * MiB, &properties, 0) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(cuMemCreate(&handle, MiB, &properties, 0) == CUDA_ERROR_INVALID_VALUE);  // not a multiple of the granularity
  CUmemAllocationProp on_host = on_device(0);
  on_host.location = {CU_MEM_LOCATION_TYPE_HOST, 0};
  const std::uint64_t before = figures().used_bytes;
  REQUIRE(cuMemCreate(&host, 2048 * MiB, &on_host, 0) == CUDA_SUCCESS);
  CHECK(figures().used_bytes == before);
  CHECK(live(VRAMTRACK_SIM_VMM) == 2048 * MiB);
  CHECK(cuMemRelease(host) == CUDA_SUCCESS);
}

TEST_CASE("exported memory comes back as the same handle") {
  const SimDevice device;
  const CUmemAllocationProp properties = on_device(1, true);
  CUmemGenericAllocationHandle handle = 0, imported = 0;
  REQUIRE(cuMemCreate(&handle, 2 * MiB, &properties, 0) == CUDA_SUCCESS);
  int fd = -1;
  REQUIRE(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemImportFromShareableHandle(&imported, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)),
                                         CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) == CUDA_SUCCESS);
  close(fd);
  CHECK(imported == handle);
  CHECK(cuMemRelease(handle) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_VMM, 1) == 2 * MiB);
  CHECK(cuMemRelease(imported) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_VMM, 1) == 0);
}

TEST_CASE("multicast objects are handles without memory") {
  const SimDevice device;
  CUmulticastObjectProp properties{};
  properties.numDevices = 2;
  properties.size = 4 * MiB;
  CUmemGenericAllocationHandle multicast = 0, memory = 0;
  const CUmemAllocationProp on_first = on_device(0);
  REQUIRE(cuMulticastCreate(&multicast, &properties) == CUDA_SUCCESS);
  REQUIRE(cuMulticastAddDevice(multicast, 0) == CUDA_SUCCESS);
  CHECK(cuMulticastAddDevice(multicast, 7) == CUDA_ERROR_INVALID_DEVICE);
  REQUIRE(cuMemCreate(&memory, 4 * MiB, &on_first, 0) == CUDA_SUCCESS);
  CHECK(cuMulticastBindMem(multicast, 0, memory, 0, 4 * MiB, 0) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_VMM) == 4 * MiB);
  CHECK(cuMemRelease(multicast) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_VMM) == 4 * MiB);
  CHECK(cuMemRelease(memory) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_VMM) == 0);
}
