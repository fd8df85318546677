// Programs that use CUDA in odd ways, one mode each: door_unusual MODE. What is printed must be the same with and
// without vramtrack in the process (results, errno, last error), and what is live at the end must be what the simulated
// driver's books say (test/e2e/test_hooks_unusual.py). Linked to the runtime and the driver.
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <thread>

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "test/corpus/clients/books.hpp"

namespace {

void show(int line, const char* what, long long result) {
  const int error = errno;
  std::printf("%d %s = %lld, errno %d, last error %d\n", line, what, result, error,
              static_cast<int>(cudaPeekAtLastError()));
  errno = 77;
}
#define SHOW(expression) show(__LINE__, #expression, static_cast<long long>(expression))
#define CLEAR() cudaGetLastError()

constexpr std::size_t impossible = std::size_t{1} << 60;
void* unknown_pointer() { return reinterpret_cast<void*>(0x1234); }

// Frees and sizes that are refused, or do nothing.
void refused() {
  void *p = nullptr, *host = nullptr;
  SHOW(cudaFree(nullptr));
  SHOW(cudaFree(unknown_pointer()));
  CLEAR();
  SHOW(cudaMalloc(&p, 4096));
  SHOW(cudaFree(p));
  SHOW(cudaFree(p));
  CLEAR();
  SHOW(cudaMalloc(&p, 0));
  SHOW(p != nullptr);
  for (std::size_t bytes : {impossible, SIZE_MAX}) SHOW(cudaMalloc(&p, bytes));
  CLEAR();
  SHOW(cudaMalloc(nullptr, 10));
  SHOW(cudaMallocHost(&host, 5000));
  SHOW(cudaFree(host));
  SHOW(cudaFreeHost(host));
  SHOW(cudaFreeHost(host));
  SHOW(cudaFreeHost(unknown_pointer()));
  CLEAR();
  SHOW(cudaHostAlloc(&host, 0, 0));
  SHOW(cudaMallocManaged(&p, 1000, 77));
  SHOW(cudaMallocAsync(&p, 0, nullptr));
  SHOW(cudaMallocAsync(&p, impossible, nullptr));
  SHOW(cudaFreeAsync(nullptr, nullptr));
  SHOW(cudaFreeAsync(unknown_pointer(), nullptr));
  CLEAR();
  SHOW(cudaMallocAsync(&p, 3000, nullptr));  // freed by the other family
  SHOW(cudaFree(p));
  SHOW(cudaMalloc(&p, 3000));
  SHOW(cudaFreeAsync(p, nullptr));
  SHOW(cudaMalloc(&p, 3000));
  SHOW(cudaFree(static_cast<char*>(p) + 16));
  SHOW(cuMemFree(0));
  SHOW(cuMemFree(99));
  SHOW(cuMemAlloc(nullptr, 1));
}

// Registrations that overlap, and pinned memory released by the wrong function.
void registered() {
  auto* m = static_cast<char*>(mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  void* host = nullptr;
  SHOW(cudaHostRegister(m, 65536, 0));
  SHOW(cudaHostRegister(m + 4096, 65536, 0));
  SHOW(cudaHostRegister(m, 65536, 0));
  CLEAR();
  SHOW(cudaFreeHost(m));
  SHOW(cudaHostUnregister(m + 100));
  CLEAR();
  SHOW(cudaHostRegister(m + 131072, 4096, 0));
  SHOW(cudaHostUnregister(m + 131072));
  SHOW(cudaHostUnregister(m + 131072));
  SHOW(cudaMallocHost(&host, 8192));
  SHOW(cudaHostUnregister(host));
  SHOW(cudaHostRegister(host, 8192, 0));
  SHOW(cudaHostRegister(m + 262144, 0, 0));
}

// Odd widths; mip levels that do not exist; views that are no allocations.
void shapes() {
  void* p = nullptr;
  std::size_t pitch = 0;
  cudaPitchedPtr pitched{};
  cudaArray_t array = nullptr, level = nullptr;
  cudaMipmappedArray_t mips = nullptr;
  const cudaChannelFormatDesc one{32, 0, 0, 0, cudaChannelFormatKindFloat};
  const cudaChannelFormatDesc bytes{8, 8, 8, 8, cudaChannelFormatKindUnsigned};
  for (std::size_t width : {1001, 1, 0}) SHOW(cudaMallocPitch(&p, &pitch, width, 7));
  SHOW(cudaMallocPitch(&p, &pitch, std::size_t{1} << 50, 1 << 20));
  SHOW(cudaMalloc3D(&pitched, {333, 5, 3}));
  SHOW(cudaMalloc3D(&pitched, {0, 1, 1}));
  SHOW(cudaMallocArray(&array, &one, 100, 0, 0));
  SHOW(cudaMallocArray(&array, &bytes, 33, 17, 0));
  SHOW(cudaMalloc3DArray(&array, &one, {10, 11, 12}, 0));
  SHOW(cudaMalloc3DArray(&array, &one, {16, 16, 6}, cudaArrayCubemap));
  SHOW(cudaMalloc3DArray(&array, &one, {16, 0, 5}, cudaArrayLayered));
  SHOW(cudaMalloc3DArray(&array, &one, {16, 16, 12}, cudaArrayLayered | cudaArrayCubemap));
  SHOW(cudaMallocMipmappedArray(&mips, &bytes, {64, 32, 0}, 4, 0));
  SHOW(cudaGetMipmappedArrayLevel(&level, mips, 1));
  SHOW(cudaFreeArray(level));
  SHOW(cudaMallocMipmappedArray(&mips, &one, {64, 64, 64}, 20, 0));
  SHOW(cudaMallocMipmappedArray(&mips, &one, {17, 33, 0}, 2, 0));
  SHOW(cudaFreeMipmappedArray(mips));
  SHOW(cudaFreeMipmappedArray(mips));
}

cudaMemPoolProps pool_on(int device) {
  cudaMemPoolProps props{};
  props.allocType = cudaMemAllocationTypePinned;
  props.location.type = cudaMemLocationTypeDevice;
  props.location.id = device;
  props.handleTypes = cudaMemHandleTypePosixFileDescriptor;
  return props;
}

// Pools destroyed with live blocks, of another device, exported and imported again.
void pools() {
  cudaMemPool_t gone = nullptr, other = nullptr, exported = nullptr, imported = nullptr;
  void *a = nullptr, *b = nullptr;
  cudaMemPoolProps props = pool_on(0);
  SHOW(cudaMemPoolCreate(&gone, &props));
  SHOW(cudaMallocFromPoolAsync(&a, 5 << 20, gone, nullptr));
  SHOW(cudaMallocFromPoolAsync(&b, 1 << 20, gone, nullptr));
  SHOW(cudaFreeAsync(b, nullptr));
  SHOW(cudaMemPoolTrimTo(gone, 0));
  SHOW(cudaMemPoolDestroy(gone));
  SHOW(cudaMallocFromPoolAsync(&b, 100, gone, nullptr));
  CLEAR();
  props = pool_on(1);
  SHOW(cudaMemPoolCreate(&other, &props));
  SHOW(cudaMallocFromPoolAsync(&b, 3 << 20, other, nullptr));
  SHOW(cudaSetDevice(1));
  SHOW(cudaDeviceSetMemPool(1, other));
  SHOW(cudaMallocAsync(&b, 2 << 20, nullptr));
  SHOW(cudaSetDevice(0));
  SHOW(cudaMallocAsync(&b, 1111, cudaStreamPerThread));
  SHOW(cudaMallocAsync(&b, 1112, cudaStreamLegacy));
  SHOW(cudaFreeAsync(b, cudaStreamPerThread));
  props = pool_on(0);
  int file = -1;
  cudaMemPoolPtrExportData data{};
  SHOW(cudaMemPoolCreate(&exported, &props));
  SHOW(cudaMemPoolExportToShareableHandle(&file, exported, cudaMemHandleTypePosixFileDescriptor, 0));
  SHOW(cudaMemPoolImportFromShareableHandle(&imported, reinterpret_cast<void*>(static_cast<std::intptr_t>(file)),
                                            cudaMemHandleTypePosixFileDescriptor, 0));
  SHOW(cudaMallocFromPoolAsync(&a, 6 << 20, exported, nullptr));
  SHOW(cudaMemPoolExportPointer(&data, a));
  SHOW(cudaMemPoolImportPointer(&b, imported, &data));
  SHOW(cudaFreeAsync(b, nullptr));
}

// Handles retained, mapped twice, unmapped in part; many mappings in one unmap.
void mappings() {
  SHOW(cudaFree(nullptr));
  CUmemAllocationProp props{};
  props.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  props.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  constexpr std::size_t page = 2 << 20;
  constexpr int count = 40;
  CUmemGenericAllocationHandle handle = 0, again = 0, many[count];
  CUdeviceptr v = 0, w = 0;
  SHOW(cuMemCreate(&handle, page * 4, &props, 0));
  SHOW(cuMemCreate(&again, page + 1, &props, 0));
  SHOW(cuMemCreate(&again, impossible, &props, 0));
  SHOW(cuMemAddressReserve(&v, page * 16, 0, 0, 0));
  for (std::size_t at : {0, 4, 8, 0}) SHOW(cuMemMap(v + at * page, page * 4, 0, handle, 0));
  for (int i = 0; i < 2; ++i) SHOW(cuMemRetainAllocationHandle(&again, reinterpret_cast<void*>(v)));
  SHOW(again == handle);
  for (int i = 0; i < 4; ++i) SHOW(cuMemRelease(handle));
  for (std::size_t part : {1, 2, 4, 4}) SHOW(cuMemUnmap(v, part * page));
  SHOW(cuMemUnmap(v + 4 * page, 4 * page));  // the third mapping still holds it
  SHOW(cuMemAddressReserve(&w, page * count, 0, 0, 0));
  int failed = 0;
  for (int i = 0; i < count; ++i) {
    failed += cuMemCreate(&many[i], page, &props, 0) != CUDA_SUCCESS;
    failed += cuMemMap(w + page * static_cast<std::size_t>(i), page, 0, many[i], 0) != CUDA_SUCCESS;
  }
  for (int i = 0; i < count / 2; ++i) failed += cuMemRelease(many[i]) != CUDA_SUCCESS;
  SHOW(failed);
  SHOW(cuMemUnmap(w, page * count));
  for (int i = count / 2; i < count - 5; ++i) failed += cuMemRelease(many[i]) != CUDA_SUCCESS;
  SHOW(failed);
  SHOW(cuMemRelease(many[0]));
}

// What dies with a context that is not current, with the last release of a primary one, with its reset.
void contexts() {
  CUcontext primary = nullptr, first = nullptr, second = nullptr;
  CUdeviceptr p = 0;
  void* host = nullptr;
  SHOW(cuInit(0));
  for (int i = 0; i < 2; ++i) SHOW(cuDevicePrimaryCtxRetain(&primary, 0));
  SHOW(cuCtxSetCurrent(primary));
  SHOW(cuMemAlloc(&p, 1000));
  SHOW(cuMemHostAlloc(&host, 777, 0));
  SHOW(cuCtxCreate(&first, nullptr, 0, 0));
  SHOW(cuMemAlloc(&p, 2000));
  SHOW(cuMemAllocHost(&host, 333));
  SHOW(cuMemAllocAsync(&p, 2222, nullptr));
  SHOW(cuCtxCreate(&second, nullptr, 0, 1));
  SHOW(cuMemAlloc(&p, 3000));
  SHOW(cuCtxDestroy(first));
  SHOW(cuCtxDestroy(first));
  SHOW(cuCtxSetCurrent(primary));
  SHOW(cuDevicePrimaryCtxRelease(0));
  SHOW(cuMemAlloc(&p, 5000));
  SHOW(cuDevicePrimaryCtxRelease(0));
  SHOW(cuMemAlloc(&p, 1));
  SHOW(cuDevicePrimaryCtxRetain(&primary, 0));
  SHOW(cuCtxSetCurrent(primary));
  SHOW(cuMemAlloc(&p, 6000));
  SHOW(cuDevicePrimaryCtxReset(0));
  SHOW(cuMemAlloc(&p, 7000));
}

// The device is reset over and over under threads that allocate.
void reset_under_threads() {
  std::atomic<bool> stop{false};
  const auto work = [&stop] {
    for (unsigned n = 0; !stop.load(); ++n) {
      void* p = nullptr;
      if (cudaMalloc(&p, 256 * (1 + n % 7)) == cudaSuccess && n % 3 != 0) cudaFree(p);
      CLEAR();
    }
  };
  std::thread one(work), two(work);
  for (int i = 0; i < 20; ++i) {
    usleep(1000);
    cudaDeviceReset();
  }
  stop = true;
  one.join();
  two.join();
  void* p = nullptr;
  SHOW(cudaDeviceReset());
  SHOW(cudaMalloc(&p, 12345));
}

// What a stream asks for while it is being captured is a node's memory: the graph's, not the pool's.
void captured() {
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t launchable = nullptr;
  void *kept = nullptr, *freed = nullptr, *outside = nullptr;
  SHOW(cudaStreamCreate(&stream));
  SHOW(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  SHOW(cudaMallocAsync(&kept, 1 << 20, stream));
  SHOW(cudaMallocAsync(&freed, 2 << 20, stream));
  SHOW(cudaFreeAsync(freed, stream));
  SHOW(cudaStreamEndCapture(stream, &graph));
  SHOW(cudaMallocAsync(&outside, 3 << 20, stream));
  SHOW(cudaGraphInstantiate(&launchable, graph, 0));
  SHOW(cudaGraphLaunch(launchable, stream));
  SHOW(cudaStreamSynchronize(stream));
}

struct Mode {
  const char* name;
  void (*run)();
};
constexpr Mode modes[] = {{"refused", refused},   {"registered", registered},
                          {"shapes", shapes},     {"pools", pools},
                          {"mappings", mappings}, {"contexts", contexts},
                          {"captured", captured}, {"reset_under_threads", reset_under_threads}};

}  // namespace

int main(int argc, char** argv) {
  for (const Mode& mode : modes) {
    if (argc != 2 || std::strcmp(argv[1], mode.name) != 0) continue;
    errno = 77;
    mode.run();
    show_books();
  }
  return 2;
}
