// A program that carries the runtime inside it, as nvcc's do by default: no library of CUDA is needed to start it.
#include <cuda_runtime_api.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#define EXPECT(condition)                                        \
  if (!(condition)) {                                            \
    std::fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
    return 1;                                                    \
  }

int main() {
  EXPECT(dlopen("libcudart.so.13", RTLD_NOW | RTLD_NOLOAD) == nullptr);
  EXPECT(dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD) == nullptr);
  void* memory = nullptr;
  EXPECT(cudaMalloc(&memory, 5 << 20) == cudaSuccess);
  EXPECT(dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD) != nullptr);
  char text[] = "through the driver", back[sizeof text] = "";
  EXPECT(cudaMemcpy(memory, text, sizeof text, cudaMemcpyHostToDevice) == cudaSuccess);
  EXPECT(cudaMemcpy(back, memory, sizeof back, cudaMemcpyDeviceToHost) == cudaSuccess);
  EXPECT(std::strcmp(text, back) == 0);
  size_t free = 0, total = 0;
  EXPECT(cudaMemGetInfo(&free, &total) == cudaSuccess);
  EXPECT(total == 1ull << 30);
  EXPECT(total - free == (16ull << 20) + (6ull << 20));  // the context, and 5 MiB in whole pages
  EXPECT(cudaFree(memory) == cudaSuccess);
  EXPECT(cudaMalloc(&memory, 2ull << 30) == cudaErrorMemoryAllocation);
  EXPECT(cudaGetLastError() == cudaErrorMemoryAllocation);
  std::puts("ok");
  return 0;
}
