// Another interposer in the process, preloaded after (or before) libvramtrack.so: it answers what the simulated GPU
// does not have, memory of other processes, and passes cudaMalloc and cudaFree on as torch_memory_saver and its like
// do. It says at exit how often it was asked.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "interpose/cuda/cuda_headers.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

int g_mallocs = 0, g_frees = 0;
CUdeviceptr g_imported[16];
int g_next = 5;  // mappings of external memory are new ones each time
int g_array;

// Each kind gets one block, the same at each opening, as the driver does it. It is real memory of the simulated device,
// so that the driver knows its size; vramtrack must not take it for this process's own.
template <class Pointer>
int give(Pointer* p, int which) {
  static auto* alloc = reinterpret_cast<decltype(&::cuMemAlloc_v2)>(dlsym(RTLD_NEXT, "cuMemAlloc_v2"));
  if (g_imported[which] == 0 && alloc(&g_imported[which], 1 << 20) != CUDA_SUCCESS) return 2;
  *p = (Pointer)g_imported[which];
  return 0;
}

__attribute__((destructor)) void tell() {
  if (std::getenv("DOUBLE_TELLS") != nullptr) std::fprintf(stderr, "double mallocs %d frees %d\n", g_mallocs, g_frees);
}

bool ours(CUdeviceptr p) {
  for (const CUdeviceptr imported : g_imported)
    if (imported != 0 && imported == p) return true;
  return false;
}

}  // namespace

EXPORT cudaError_t cudaIpcOpenMemHandle(void** p, cudaIpcMemHandle_t, unsigned) {
  return static_cast<cudaError_t>(give(p, 0));
}
EXPORT cudaError_t cudaIpcCloseMemHandle(void*) { return cudaSuccess; }
EXPORT CUresult cuIpcOpenMemHandle(CUdeviceptr* p, CUipcMemHandle, unsigned) {
  return static_cast<CUresult>(give(p, 1));
}
EXPORT CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* p, CUipcMemHandle, unsigned) {
  return static_cast<CUresult>(give(p, 2));
}
EXPORT CUresult cuIpcCloseMemHandle(CUdeviceptr) { return CUDA_SUCCESS; }
EXPORT cudaError_t cudaMemPoolImportPointer(void** p, cudaMemPool_t, cudaMemPoolPtrExportData*) {
  return static_cast<cudaError_t>(give(p, 3));
}
EXPORT CUresult cuMemPoolImportPointer(CUdeviceptr* p, CUmemoryPool, CUmemPoolPtrExportData*) {
  return static_cast<CUresult>(give(p, 4));
}
EXPORT cudaError_t cudaExternalMemoryGetMappedBuffer(void** p, cudaExternalMemory_t,
                                                     const cudaExternalMemoryBufferDesc*) {
  return static_cast<cudaError_t>(give(p, g_next++));
}
EXPORT CUresult cuExternalMemoryGetMappedBuffer(CUdeviceptr* p, CUexternalMemory,
                                                const CUDA_EXTERNAL_MEMORY_BUFFER_DESC*) {
  return static_cast<CUresult>(give(p, g_next++));
}
EXPORT cudaError_t cudaExternalMemoryGetMappedMipmappedArray(cudaMipmappedArray_t* a, cudaExternalMemory_t,
                                                             const cudaExternalMemoryMipmappedArrayDesc*) {
  *a = reinterpret_cast<cudaMipmappedArray_t>(&g_array);
  return cudaSuccess;
}
EXPORT CUresult cuExternalMemoryGetMappedMipmappedArray(CUmipmappedArray* a, CUexternalMemory,
                                                        const CUDA_EXTERNAL_MEMORY_MIPMAPPED_ARRAY_DESC*) {
  *a = reinterpret_cast<CUmipmappedArray>(&g_array);
  return CUDA_SUCCESS;
}
EXPORT cudaError_t cudaFreeMipmappedArray(cudaMipmappedArray_t a) {
  static auto* real = reinterpret_cast<decltype(&::cudaFreeMipmappedArray)>(dlsym(RTLD_NEXT, "cudaFreeMipmappedArray"));
  return static_cast<void*>(a) == &g_array ? cudaSuccess : real(a);
}
EXPORT CUresult cuMipmappedArrayDestroy(CUmipmappedArray a) {
  static auto* real =
      reinterpret_cast<decltype(&::cuMipmappedArrayDestroy)>(dlsym(RTLD_NEXT, "cuMipmappedArrayDestroy"));
  return static_cast<void*>(a) == &g_array ? CUDA_SUCCESS : real(a);
}
EXPORT CUresult cuMemFree_v2(CUdeviceptr p) {
  static auto* real = reinterpret_cast<decltype(&::cuMemFree_v2)>(dlsym(RTLD_NEXT, "cuMemFree_v2"));
  return ours(p) ? CUDA_SUCCESS : real(p);
}
EXPORT cudaError_t cudaMalloc(void** p, size_t n) {
  static auto* real = reinterpret_cast<decltype(&::cudaMalloc)>(dlsym(RTLD_NEXT, "cudaMalloc"));
  ++g_mallocs;
  return real(p, n);
}
EXPORT cudaError_t cudaFree(void* p) {
  static auto* real = reinterpret_cast<decltype(&::cudaFree)>(dlsym(RTLD_NEXT, "cudaFree"));
  ++g_frees;
  return ours(reinterpret_cast<CUdeviceptr>(p)) ? cudaSuccess : real(p);
}
