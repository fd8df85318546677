/* A library that knows nothing of Python: it keeps what it allocates. */
#include <cuda_runtime_api.h>

void* plain_alloc(size_t bytes) {
  void* memory = NULL;
  return cudaMalloc(&memory, bytes) == cudaSuccess ? memory : NULL;
}
