// A driver of CUDA 11.4: it has cuGetProcAddress, but no cuGetProcAddress_v2, and answers some requests with internal
// entries that it does not export, one of them of a version that is newer than anything we were built with.
#include <cstring>

#include "interpose/cuda/cuda_headers.hpp"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

char g_memory[1 << 20];

CUresult internal_alloc(CUdeviceptr* p, size_t) {
  *p = reinterpret_cast<CUdeviceptr>(g_memory + 4096);
  return CUDA_SUCCESS;
}
// "cuMemAlloc" of a future version, with another signature.
CUresult future_alloc(int flags, CUdeviceptr* p, size_t n) {
  if (flags != 42 || n != 888) return CUDA_ERROR_INVALID_VALUE;
  *p = reinterpret_cast<CUdeviceptr>(g_memory + 8192);
  return CUDA_SUCCESS;
}

}  // namespace

EXPORT CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
EXPORT CUresult cuMemAlloc_v2(CUdeviceptr* p, size_t) {
  *p = reinterpret_cast<CUdeviceptr>(g_memory);
  return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFree_v2(CUdeviceptr) { return CUDA_SUCCESS; }
EXPORT CUresult cuGetProcAddress(const char* symbol, void** p, int version, cuuint64_t) {
  if (std::strcmp(symbol, "cuMemAlloc") != 0) return CUDA_ERROR_NOT_FOUND;
  *p = version >= 99000 ? reinterpret_cast<void*>(&future_alloc) : reinterpret_cast<void*>(&internal_alloc);
  return CUDA_SUCCESS;
}
