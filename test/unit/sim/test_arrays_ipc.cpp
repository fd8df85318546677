#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "sim_test.hpp"

TEST_CASE("arrays hold their texels, mipmaps all their levels, views nothing") {
  const SimDevice device;
  const std::uint64_t before = figures().used_bytes;
  CUDA_ARRAY3D_DESCRIPTOR description{};
  description.Width = 100;
  description.Height = 50;
  description.Format = CU_AD_FORMAT_HALF;
  description.NumChannels = 4;
  CUarray array = nullptr, level = nullptr;
  CUmipmappedArray mipmap = nullptr;
  REQUIRE(cuArray3DCreate(&array, &description) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_ARRAY) == 100 * 50 * 8);
  REQUIRE(cuMipmappedArrayCreate(&mipmap, &description, 3) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_ARRAY) == 2 * 100 * 50 * 8 + 50 * 25 * 8 + 25 * 12 * 8);
  REQUIRE(cuMipmappedArrayGetLevel(&level, mipmap, 2) == CUDA_SUCCESS);
  CHECK(cuMipmappedArrayGetLevel(&level, mipmap, 3) == CUDA_ERROR_INVALID_VALUE);
  CUDA_ARRAY3D_DESCRIPTOR of_level{};
  REQUIRE(cuArray3DGetDescriptor(&of_level, level) == CUDA_SUCCESS);
  CHECK(of_level.Width == 25);
  CHECK(of_level.Height == 12);
  CHECK(count(VRAMTRACK_SIM_ARRAY) == 2);
  CHECK(cuArrayDestroy(level) == CUDA_ERROR_INVALID_HANDLE);
  CHECK(cuArrayDestroy(array) == CUDA_SUCCESS);
  CHECK(cuMipmappedArrayDestroy(mipmap) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_ARRAY) == 0);

  description.Flags = CUDA_ARRAY3D_DEFERRED_MAPPING;
  REQUIRE(cuArray3DCreate(&array, &description) == CUDA_SUCCESS);
  CHECK(count(VRAMTRACK_SIM_ARRAY) == 0);  // its memory comes later
  CUDA_ARRAY_MEMORY_REQUIREMENTS requirements{};
  REQUIRE(cuArrayGetMemoryRequirements(&requirements, array, 0) == CUDA_SUCCESS);
  CHECK(requirements.size == 65536);
  CHECK(cuArrayDestroy(array) == CUDA_SUCCESS);
  CHECK(figures().used_bytes == before);
}

TEST_CASE("memory opened from another process is its memory, and not charged here") {
  int ready[2], done[2];
  REQUIRE(pipe(ready) == 0);
  REQUIRE(pipe(done) == 0);
  const pid_t child = fork();  // before cuInit: each process has a driver of its own
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);
    CUcontext context = nullptr;
    CUdeviceptr memory = 0;
    CUipcMemHandle handle{};
    char byte = 0;
    bool ok = cuInit(0) == CUDA_SUCCESS && cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS &&
              cuCtxSetCurrent(context) == CUDA_SUCCESS && cuMemAlloc(&memory, 100) == CUDA_SUCCESS &&
              cuMemAlloc(&memory, 3 * MiB) == CUDA_SUCCESS && cuMemsetD8(memory, 11, 3 * MiB) == CUDA_SUCCESS &&
              cuIpcGetMemHandle(&handle, memory + 17) == CUDA_SUCCESS;
    ok = write(ready[1], &handle, sizeof handle) == sizeof handle && ok;
    ok = read(done[0], &byte, 1) == 1 && ok;
    unsigned char value = 0;
    ok = cuMemcpyDtoH(&value, memory + 5, 1) == CUDA_SUCCESS && value == 99 && ok;
    _exit(ok ? 0 : 1);
  }
  const SimDevice device;
  const std::uint64_t before = figures().used_bytes;
  CUipcMemHandle handle{};
  REQUIRE(read(ready[0], &handle, sizeof handle) == sizeof handle);
  CUdeviceptr opened = 0, again = 0;
  REQUIRE(cuIpcOpenMemHandle(&opened, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) == CUDA_SUCCESS);
  REQUIRE(cuIpcOpenMemHandle(&again, handle, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS) == CUDA_SUCCESS);
  CHECK(again == opened);
  CHECK(live(VRAMTRACK_SIM_IPC) == 3 * MiB);
  CHECK(figures().used_bytes == before);
  unsigned char value = 0;
  REQUIRE(cuMemcpyDtoH(&value, opened + 3 * MiB - 1, 1) == CUDA_SUCCESS);
  CHECK(value == 11);
  REQUIRE(cuMemsetD8(opened + 5, 99, 1) == CUDA_SUCCESS);
  REQUIRE(write(done[1], "x", 1) == 1);
  int status = 1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(cuMemFree(opened) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuIpcCloseMemHandle(opened) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_IPC) == 3 * MiB);  // opened twice
  CHECK(cuIpcCloseMemHandle(opened) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_IPC) == 0);
  CHECK(cuIpcCloseMemHandle(opened) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuIpcOpenMemHandle(&opened, handle, 0) == CUDA_ERROR_MAP_FAILED);  // its process is gone
}

TEST_CASE("external memory is mapped, freed with the buffer, and not charged") {
  const SimDevice device;
  const std::uint64_t before = figures().used_bytes;
  const int fd = memfd_create("test", 0);
  REQUIRE(ftruncate(fd, 8192) == 0);
  REQUIRE(pwrite(fd, "hello", 5, 4100) == 5);
  CUDA_EXTERNAL_MEMORY_HANDLE_DESC description{};
  description.type = CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD;
  description.handle.fd = fd;
  description.size = 8192;
  CUexternalMemory memory = nullptr;
  REQUIRE(cuImportExternalMemory(&memory, &description) == CUDA_SUCCESS);
  CUDA_EXTERNAL_MEMORY_BUFFER_DESC buffer{};
  buffer.offset = 4100;
  buffer.size = 5;
  CUdeviceptr mapped = 0;
  REQUIRE(cuExternalMemoryGetMappedBuffer(&mapped, memory, &buffer) == CUDA_SUCCESS);
  char text[6] = "";
  REQUIRE(cuMemcpyDtoH(text, mapped, 5) == CUDA_SUCCESS);
  CHECK(std::string(text) == "hello");
  CHECK(live(VRAMTRACK_SIM_EXTERNAL) == 5);
  CHECK(figures().used_bytes == before);
  CHECK(cuMemFree(mapped) == CUDA_SUCCESS);
  CHECK(cuDestroyExternalMemory(memory) == CUDA_SUCCESS);
  CHECK(cuDestroyExternalMemory(memory) == CUDA_ERROR_INVALID_HANDLE);
  description.type = CU_EXTERNAL_MEMORY_HANDLE_TYPE_D3D12_HEAP;
  CHECK(cuImportExternalMemory(&memory, &description) == CUDA_ERROR_NOT_SUPPORTED);
}

TEST_CASE("a pool's pointer comes back through export and import") {
  const SimDevice device;
  CUmemPoolProps properties{};
  properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  properties.handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  CUmemoryPool pool = nullptr, imported = nullptr;
  CUdeviceptr block = 0, seen = 0;
  CUmemPoolPtrExportData data{};
  int fd = -1;
  REQUIRE(cuMemPoolCreate(&pool, &properties) == CUDA_SUCCESS);
  REQUIRE(cuMemAllocFromPoolAsync(&block, MiB, pool, nullptr) == CUDA_SUCCESS);
  REQUIRE(cuMemsetD8(block, 5, MiB) == CUDA_SUCCESS);
  REQUIRE(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemPoolImportFromShareableHandle(&imported, reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)),
                                             CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0) == CUDA_SUCCESS);
  REQUIRE(cuMemPoolExportPointer(&data, block) == CUDA_SUCCESS);
  REQUIRE(cuMemPoolImportPointer(&seen, imported, &data) == CUDA_SUCCESS);
  CHECK(seen != block);
  unsigned char value = 0;
  REQUIRE(cuMemcpyDtoH(&value, seen + MiB - 1, 1) == CUDA_SUCCESS);
  CHECK(value == 5);
  CHECK(live(VRAMTRACK_SIM_POOL) == MiB);
  CHECK(cuMemFreeAsync(seen, nullptr) == CUDA_SUCCESS);
  CHECK(live(VRAMTRACK_SIM_POOL) == MiB);
  CHECK(cuMemFreeAsync(block, nullptr) == CUDA_SUCCESS);
  close(fd);
}
