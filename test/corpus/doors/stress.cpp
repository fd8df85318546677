// door_stress THREADS CALLS: threads that allocate and free at random by every kind of memory, then the driver's own
// books. Also run under sanitizers.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "interpose/cuda/cuda_headers.hpp"
#include "sim/core/stats.h"

namespace {

void* g_cuda = nullptr;
void* g_cudart = nullptr;
// Of the global scope: hooked by name, also in sanitized builds, which leave look-ups on a handle alone.
#define DRIVER(name) (reinterpret_cast<decltype(&::name)>(dlsym(RTLD_DEFAULT, #name)))
#define RUNTIME(name) (reinterpret_cast<decltype(&::name)>(dlsym(RTLD_DEFAULT, #name)))

struct Block {
  int kind;
  void* pointer;
};

void work(unsigned seed, long calls) {
  static auto* const malloc_device = RUNTIME(cudaMalloc);
  static auto* const free_device = RUNTIME(cudaFree);
  static auto* const malloc_async = RUNTIME(cudaMallocAsync);
  static auto* const free_async = RUNTIME(cudaFreeAsync);
  static auto* const driver_alloc = DRIVER(cuMemAlloc_v2);
  static auto* const driver_free = DRIVER(cuMemFree_v2);
  static auto* const create = DRIVER(cuMemCreate);
  static auto* const release = DRIVER(cuMemRelease);
  static auto* const host_alloc = RUNTIME(cudaHostAlloc);
  static auto* const host_free = RUNTIME(cudaFreeHost);
  std::minstd_rand random(seed);
  std::vector<Block> mine;
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  RUNTIME(cudaSetDevice)(0);
  for (long call = 0; call < calls; ++call) {
    if (mine.size() < 64 || (mine.size() < 256 && random() % 2)) {
      Block block{static_cast<int>(random() % 5), nullptr};
      const std::size_t bytes = 256 + random() % 8192;
      CUdeviceptr p = 0;
      CUmemGenericAllocationHandle handle = 0;
      switch (block.kind) {
        case 0:
          malloc_device(&block.pointer, bytes);
          break;
        case 1:
          malloc_async(&block.pointer, bytes, nullptr);
          break;
        case 2:
          driver_alloc(&p, bytes);
          block.pointer = reinterpret_cast<void*>(p);
          break;
        case 3:
          create(&handle, 2 << 20, &prop, 0);
          block.pointer = reinterpret_cast<void*>(handle);
          break;
        default:
          host_alloc(&block.pointer, bytes, 0);
          break;
      }
      if (block.pointer != nullptr) mine.push_back(block);
    } else {
      const std::size_t which = random() % mine.size();
      const Block block = mine[which];
      mine[which] = mine.back();
      mine.pop_back();
      const auto p = reinterpret_cast<CUdeviceptr>(block.pointer);
      switch (block.kind) {
        case 0:
          free_device(block.pointer);
          break;
        case 1:
          free_async(block.pointer, nullptr);
          break;
        case 2:
          driver_free(p);
          break;
        case 3:
          release(p);
          break;
        default:
          host_free(block.pointer);
          break;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  g_cuda = dlopen("libcuda.so.1", RTLD_NOW);
  g_cudart = dlopen("libcudart.so.13", RTLD_NOW);
  if (g_cuda == nullptr || g_cudart == nullptr) return 3;
  DRIVER(cuInit)(0);
  const int count = std::atoi(argv[1]);
  const long calls = std::atol(argv[2]);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back(work, static_cast<unsigned>(i + 1), calls / count);
  for (auto& thread : threads) thread.join();
  vramtrack_sim_figures figures{};
  figures.size = sizeof figures;
  DRIVER(vramtrack_sim_stats)(0, &figures);
  for (int kind = 0; kind < VRAMTRACK_SIM_KINDS; ++kind)
    std::printf("books %d %llu %llu\n", kind, static_cast<unsigned long long>(figures.live_bytes[kind]),
                static_cast<unsigned long long>(figures.live_count[kind]));
  std::printf("allocations %llu\n", static_cast<unsigned long long>(figures.allocations));
  return 0;
}
