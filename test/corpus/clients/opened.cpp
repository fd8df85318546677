// Linked to nothing of CUDA: opens the runtime and the driver locally and looks everything up, as plug-ins do.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include "test/corpus/clients/books.hpp"

namespace {

template <class F>
F* find(void* library, const char* name) {
  void* found = library == nullptr ? nullptr : dlsym(library, name);
  if (found == nullptr) {
    std::fprintf(stderr, "%s: not found\n", name);
    std::exit(5);
  }
  return reinterpret_cast<F*>(found);
}

}  // namespace

int main() {
  void* const runtime = dlopen("libcudart.so.12", RTLD_NOW | RTLD_LOCAL);
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  void *kept = nullptr, *freed = nullptr, *pinned = nullptr;
  EXPECT(find<cudaError_t(void**, size_t)>(runtime, "cudaMalloc")(&kept, 3 << 20));
  EXPECT(find<cudaError_t(void**, size_t)>(runtime, "cudaMalloc")(&freed, 1 << 20));
  EXPECT(find<cudaError_t(void*)>(runtime, "cudaFree")(freed));
  EXPECT(find<cudaError_t(void**, size_t)>(runtime, "cudaMallocHost")(&pinned, 4096));
  CUdeviceptr by_name = 0, by_entry = 0;
  EXPECT(find<CUresult(CUdeviceptr*, size_t)>(driver, "cuMemAlloc_v2")(&by_name, 1000));
  void* entry = nullptr;
  CUdriverProcAddressQueryResult status{};
  EXPECT(find<CUresult(const char*, void**, int, cuuint64_t, CUdriverProcAddressQueryResult*)>(
      driver, "cuGetProcAddress_v2")("cuMemAlloc", &entry, 12000, 0, &status));
  EXPECT(reinterpret_cast<CUresult (*)(CUdeviceptr*, size_t)>(entry)(&by_entry, 2000));
  show_books();
}
