// The runtime linked in statically: only its calls of the driver can be seen, through the pointers that it looks up.
#include <cuda_runtime_api.h>

#include "test/corpus/clients/books.hpp"

int main() {
  EXPECT(cudaSetDevice(0));
  void *kept = nullptr, *freed = nullptr, *pooled = nullptr, *managed = nullptr, *pinned = nullptr, *pitched = nullptr;
  std::size_t pitch = 0;
  EXPECT(cudaMalloc(&kept, 3 << 20));
  EXPECT(cudaMalloc(&freed, 1 << 20));
  EXPECT(cudaFree(freed));
  EXPECT(cudaMallocPitch(&pitched, &pitch, 100, 50));
  EXPECT(cudaMallocAsync(&pooled, 5000, nullptr));
  EXPECT(cudaMallocManaged(&managed, 1 << 16, cudaMemAttachGlobal));
  EXPECT(cudaHostAlloc(&pinned, 4096, cudaHostAllocDefault));
  EXPECT(cudaSetDevice(1));
  void* other = nullptr;
  EXPECT(cudaMalloc(&other, 7 << 20));
  show_books();
}
