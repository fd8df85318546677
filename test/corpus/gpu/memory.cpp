// memory return|_exit: every kind of CUDA memory once kept, once freed, in a program that nvcc builds with its runtime
// inside or shared. Prints what must be recorded as live: `live KIND BYTES ADDRESS`, for virtual memory `live vmm BYTES
// 0`.
#include <cuda.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#ifdef __CUDACC__
#include <cuda_runtime.h>
__global__ void touch(float* data) { data[threadIdx.x] = 1; }
#else
#include <cuda_runtime_api.h>
#endif

#define OK(call)                                                            \
  do {                                                                      \
    const int failed = static_cast<int>(call);                              \
    if (failed != 0) {                                                      \
      std::fprintf(stderr, "%s = %d (line %d)\n", #call, failed, __LINE__); \
      std::exit(3);                                                         \
    }                                                                       \
  } while (false)

namespace {

constexpr std::size_t mib = 1 << 20;

template <class Address>
void live(const char* kind, std::size_t bytes, Address address) {
  std::printf("live %s %zu 0x%llx\n", kind, bytes, (unsigned long long)address);
}

void plain() {
  void *kept = nullptr, *freed = nullptr;
  OK(cudaMalloc(&kept, 5 * mib));
  OK(cudaMalloc(&freed, 7 * mib));
  OK(cudaFree(freed));
  live("device", 5 * mib, kept);
#ifdef __CUDACC__
  touch<<<1, 32>>>(static_cast<float*>(kept));
  OK(cudaGetLastError());
#endif
  std::size_t pitch = 0;
  OK(cudaMallocPitch(&kept, &pitch, 1000, 300));
  live("device", pitch * 300, kept);
  cudaPitchedPtr box{};
  OK(cudaMalloc3D(&box, cudaExtent{1000, 20, 10}));
  live("device", box.pitch * 20 * 10, box.ptr);
  OK(cudaMallocManaged(&kept, 3 * mib, cudaMemAttachGlobal));
  OK(cudaMallocManaged(&freed, 4 * mib, cudaMemAttachGlobal));
  OK(cudaFree(freed));
  live("managed", 3 * mib, kept);
  OK(cudaMallocHost(&kept, 2 * mib));
  live("host_pinned", 2 * mib, kept);
  OK(cudaHostAlloc(&kept, 6 * mib, cudaHostAllocMapped | cudaHostAllocPortable));
  OK(cudaHostAlloc(&freed, 8 * mib, cudaHostAllocDefault));
  OK(cudaFreeHost(freed));
  live("host_pinned", 6 * mib, kept);
  for (int i = 0; i < 2; ++i) {
    OK(posix_memalign(&kept, 4096, mib));
    std::memset(kept, 0, mib);
    OK(cudaHostRegister(kept, mib, cudaHostRegisterDefault));
    if (i == 1) OK(cudaHostUnregister(kept));
    if (i == 0) live("registered", mib, kept);
  }
}

void arrays() {
  const cudaChannelFormatDesc float4_format{32, 32, 32, 32, cudaChannelFormatKindFloat};
  cudaArray_t kept = nullptr, freed = nullptr;
  OK(cudaMallocArray(&kept, &float4_format, 256, 128, 0));
  OK(cudaMallocArray(&freed, &float4_format, 256, 64, 0));
  OK(cudaFreeArray(freed));
  live("array", 256 * 128 * 16, kept);
  OK(cudaMalloc3DArray(&kept, &float4_format, cudaExtent{64, 32, 6}, cudaArrayLayered));
  live("array", 64 * 32 * 6 * 16, kept);
  cudaMipmappedArray_t levels = nullptr;
  OK(cudaMallocMipmappedArray(&levels, &float4_format, cudaExtent{64, 32, 0}, 3, 0));
  live("array", (64 * 32 + 32 * 16 + 16 * 8) * 16, levels);
}

void pools(cudaStream_t stream) {
  void *kept = nullptr, *freed = nullptr;
  OK(cudaMallocAsync(&kept, 9 * mib, stream));
  OK(cudaMallocAsync(&freed, 10 * mib, nullptr));
  OK(cudaFreeAsync(freed, nullptr));
  live("pool", 9 * mib, kept);
  cudaMemPoolProps props{};
  props.allocType = cudaMemAllocationTypePinned;
  props.location.type = cudaMemLocationTypeDevice;
  cudaMemPool_t pool = nullptr;
  OK(cudaMemPoolCreate(&pool, &props));
  OK(cudaMallocFromPoolAsync(&kept, 11 * mib, pool, stream));
  OK(cudaMallocFromPoolAsync(&freed, 12 * mib, pool, stream));
  OK(cudaFreeAsync(freed, stream));
  OK(cudaStreamSynchronize(stream));
  OK(cudaMemPoolDestroy(pool));  // what is left in it lives on
  live("pool", 11 * mib, kept);
}

void driver() {
  CUdeviceptr kept = 0, freed = 0;
  OK(cuMemAlloc(&kept, 13 * mib));
  OK(cuMemAlloc(&freed, 14 * mib));
  OK(cuMemFree(freed));
  live("device", 13 * mib, kept);
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  std::size_t unit = 0;
  OK(cuMemGetAllocationGranularity(&unit, &prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
  CUmemAccessDesc access{};
  access.location = prop.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  // Held by its handle, by its mapping alone, by neither.
  for (std::size_t i = 1; i <= 3; ++i) {
    CUmemGenericAllocationHandle handle = 0;
    CUdeviceptr range = 0;
    const std::size_t bytes = (20 + i) * unit;
    OK(cuMemCreate(&handle, bytes, &prop, 0));
    OK(cuMemAddressReserve(&range, bytes, 0, 0, 0));
    OK(cuMemMap(range, bytes, 0, handle, 0));
    OK(cuMemSetAccess(range, bytes, &access, 1));
    if (i >= 2) OK(cuMemRelease(handle));
    if (i == 3) OK(cuMemUnmap(range, bytes));
    if (i <= 2) live("vmm", bytes, 0);
  }
}

void graphs(cudaStream_t stream) {
  cudaGraph_t graph = nullptr;
  OK(cudaGraphCreate(&graph, 0));
  cudaMemAllocNodeParams params{};
  params.poolProps.allocType = cudaMemAllocationTypePinned;
  params.poolProps.location.type = cudaMemLocationTypeDevice;
  cudaGraphNode_t node = nullptr, last = nullptr;
  params.bytesize = 15 * mib;
  OK(cudaGraphAddMemAllocNode(&node, graph, nullptr, 0, &params));
  live("graph", 15 * mib, params.dptr);
  params.bytesize = 16 * mib;
  OK(cudaGraphAddMemAllocNode(&node, graph, nullptr, 0, &params));
  OK(cudaGraphAddMemFreeNode(&last, graph, &node, 1, params.dptr));
  cudaGraphExec_t exec = nullptr;
  OK(cudaGraphInstantiate(&exec, graph, 0));
  OK(cudaGraphLaunch(exec, stream));
  OK(cudaStreamSynchronize(stream));
  // The same by a stream that is captured.
  void *kept = nullptr, *freed = nullptr;
  OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  OK(cudaMallocAsync(&kept, 17 * mib, stream));
  OK(cudaMallocAsync(&freed, 18 * mib, stream));
  OK(cudaFreeAsync(freed, stream));
  OK(cudaStreamEndCapture(stream, &graph));
  live("graph", 17 * mib, kept);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  OK(cudaSetDevice(0));
  OK(cudaFree(nullptr));
  cudaStream_t stream = nullptr;
  OK(cudaStreamCreate(&stream));
  plain();
  arrays();
  pools(stream);
  driver();
  graphs(stream);
  void* refused = nullptr;  // no device has that much
  const int refusal = static_cast<int>(cudaMalloc(&refused, std::size_t{1} << 46));
  std::printf("refused %d %d\n", refusal, static_cast<int>(cudaGetLastError()));
  OK(cudaDeviceSynchronize());
  std::fflush(stdout);
  if (std::strcmp(argv[1], "_exit") == 0) _exit(0);
  return 0;
}
