// door_races refuse | import | threads COUNT CALLS: what CUPTI reports around our hooks, when a call fails, when memory
// is open twice, and when another thread is given the address at once. Prints every block that must be live at the end.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "test/corpus/doors/doors.hpp"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace {

#define INSIDE(name) (reinterpret_cast<decltype(&::name)>(doors::find_linked(#name)))
#define GLOBAL(name) (reinterpret_cast<decltype(&::name)>(dlsym(RTLD_DEFAULT, #name)))

void block(const char* what, const void* address, unsigned long long bytes) {
  std::printf("block %s %p %llu\n", what, address, bytes);
}

void expect(const char* what, int wanted, int found) {
  if (wanted == found) return;
  std::fprintf(stderr, "%s: %d, not %d\n", what, found, wanted);
  std::_Exit(4);
}

void refuse_next() {
  constexpr int code = 700;  // cudaErrorIllegalAddress: what a free answers after a kernel has failed
  reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "double_refuses"))(code);
}

/// One block that is never freed, one whose free fails, one whose free fails and is then done again.
template <class Pointer, class Make, class Free>
void kind(const char* what, unsigned long long bytes, Make make, Free free) {
  Pointer kept{}, refused{}, freed{}, none{};
  for (Pointer* p : {&kept, &refused, &freed}) expect(what, 0, make(p));
  refuse_next();
  expect(what, 700, make(&none));
  for (Pointer p : {refused, freed}) {
    refuse_next();
    expect(what, 700, free(p));
  }
  expect(what, 0, free(freed));
  block(what, kept, bytes);
  block(what, refused, bytes);
}

void refuse() {
  void* first = nullptr;
  INSIDE(cudaMalloc)(&first, 4096);  // CUPTI is asked from here on
  block("first", first, 4096);
  constexpr std::size_t bytes = 3 << 20;
  kind<void*>(
      "device", bytes, [](void** p) { return INSIDE(cudaMalloc)(p, bytes); }, INSIDE(cudaFree));
  kind<void*>(
      "managed", bytes, [](void** p) { return INSIDE(cudaMallocManaged)(p, bytes, cudaMemAttachGlobal); },
      INSIDE(cudaFree));
  kind<void*>(
      "pinned", bytes, [](void** p) { return INSIDE(cudaMallocHost)(p, bytes); }, INSIDE(cudaFreeHost));
  kind<void*>(
      "pool", bytes, [](void** p) { return INSIDE(cudaMallocAsync)(p, bytes, nullptr); },
      [](void* p) { return INSIDE(cudaFreeAsync)(p, nullptr); });
  kind<void*>(
      "pitched", 1024 * 16,
      [](void** p) {
        std::size_t pitch = 0;
        return INSIDE(cudaMallocPitch)(p, &pitch, 1024, 16);
      },
      INSIDE(cudaFree));
  static const cudaChannelFormatDesc float4_format{32, 32, 32, 32, cudaChannelFormatKindFloat};
  kind<cudaArray_t>(
      "array", 64 * 32 * 16, [](cudaArray_t* a) { return INSIDE(cudaMallocArray)(a, &float4_format, 64, 32, 0); },
      INSIDE(cudaFreeArray));
  kind<cudaMipmappedArray_t>(
      "mipmap", (64 * 32 + 32 * 16) * 16,
      [](cudaMipmappedArray_t* a) {
        return INSIDE(cudaMallocMipmappedArray)(a, &float4_format, cudaExtent{64, 32, 0}, 2, 0);
      },
      INSIDE(cudaFreeMipmappedArray));
  static char foreign[4][65536] __attribute__((aligned(4096)));
  static int next = 0;
  kind<void*>(
      "registered", 65536, [](void** p) { return INSIDE(cudaHostRegister)(*p = foreign[next++], 65536, 0); },
      INSIDE(cudaHostUnregister));
  static cudaGraph_t graph = nullptr;
  GLOBAL(cudaGraphCreate)(&graph, 0);
  kind<void*>(
      "graph", bytes,
      [](void** p) {
        cudaMemAllocNodeParams params{};
        params.poolProps.allocType = cudaMemAllocationTypePinned;
        params.poolProps.location = {cudaMemLocationTypeDevice, {0}};
        params.bytesize = bytes;
        cudaGraphNode_t node = nullptr;
        const int result = INSIDE(cudaGraphAddMemAllocNode)(&node, graph, nullptr, 0, &params);
        *p = params.dptr;
        return result;
      },
      [](void* p) {
        cudaGraphNode_t node = nullptr;
        return INSIDE(cudaGraphAddMemFreeNode)(&node, graph, nullptr, 0, p);
      });
}

/// Memory of another process (imports_double.cpp), opened twice and closed once.
void open_twice() {
  void *first = nullptr, *p = nullptr;
  INSIDE(cudaMalloc)(&first, 4096);
  block("first", first, 4096);
  cudaMemPoolPtrExportData data{};
  for (int i = 0; i < 2; ++i) expect("import", 0, GLOBAL(cudaMemPoolImportPointer)(&p, nullptr, &data));
  expect("close", 0, INSIDE(cudaFree)(p));
  block("imported", p, 1 << 20);
}

using Hidden = int(unsigned long long*, std::size_t);
using HiddenFree = int(unsigned long long);

std::mutex g_lock;
std::set<void*> g_seen;
long g_reused = 0;
std::vector<void*> g_shared;  // allocated by one thread, freed by another

/// Allocates and frees by three ways in turn: the runtime inside (reported, and hooked below), the driver directly
/// (reported alone: HIDDEN), and the shared runtime (hooked; not reported).
void work(unsigned seed, long calls) {
  auto* const hidden = reinterpret_cast<Hidden*>(dlsym(RTLD_DEFAULT, "hidden_malloc"));
  auto* const hidden_free = reinterpret_cast<HiddenFree*>(dlsym(RTLD_DEFAULT, "hidden_free"));
  auto *const inside = INSIDE(cudaMalloc), *const outside = GLOBAL(cudaMalloc);
  auto *const inside_free = INSIDE(cudaFree), *const outside_free = GLOBAL(cudaFree);
  const unsigned ways = std::getenv("HIDDEN") != nullptr ? 3 : 2;
  inside_free(nullptr);  // a context for this thread
  std::minstd_rand random(seed);
  for (long call = 0; call < calls; ++call) {
    void* p = nullptr;
    unsigned long long hidden_p = 0;
    const unsigned way = static_cast<unsigned>(random()) % ways;
    if (random() % 2 == 0) {
      const int failed = way == 0 ? inside(&p, 4096) : way == 1 ? outside(&p, 4096) : hidden(&hidden_p, 4096);
      expect("malloc", 0, failed);
      if (way == 2) p = reinterpret_cast<void*>(hidden_p);
      const std::lock_guard guard(g_lock);
      g_reused += g_seen.insert(p).second ? 0 : 1;
      g_shared.push_back(p);
      continue;
    }
    {
      const std::lock_guard guard(g_lock);
      if (g_shared.empty()) continue;
      p = g_shared.back();
      g_shared.pop_back();
    }
    if (random() % 8 == 0) {
      refuse_next();
      expect("refused", 700, inside_free(p));
    }
    expect("free", 0,
           way == 0   ? static_cast<int>(inside_free(p))
           : way == 1 ? static_cast<int>(outside_free(p))
                      : hidden_free(reinterpret_cast<unsigned long long>(p)));
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (argc == 2 && std::strcmp(argv[1], "refuse") == 0) return refuse(), 0;
  if (argc == 2 && std::strcmp(argv[1], "import") == 0) return open_twice(), 0;
  if (argc != 4 || std::strcmp(argv[1], "threads") != 0) return 2;
  void* first = nullptr;
  INSIDE(cudaMalloc)(&first, 4096);
  std::vector<std::thread> threads;
  for (unsigned i = 1; i <= static_cast<unsigned>(std::atoi(argv[2])); ++i)
    threads.emplace_back(work, i, std::atol(argv[3]));
  for (std::thread& thread : threads) thread.join();
  g_shared.push_back(first);
  for (void* p : g_shared) block("kept", p, 4096);
  std::printf("reused %ld\n", g_reused);
  return 0;
}
