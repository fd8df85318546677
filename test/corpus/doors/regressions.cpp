// The bugs that other interposers shipped, one mode each: door_regressions MODE. What is printed must be the same with
// and without vramtrack in the process; test/e2e/test_hooks_regressions.py names the reports.
#include <dlfcn.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "interpose/cuda/cuda_headers.hpp"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace {

void* g_cuda = nullptr;
void* g_cudart = nullptr;
#define DRIVER(name) (reinterpret_cast<decltype(&::name)>(dlsym(g_cuda, #name)))
#define RUNTIME(name) (reinterpret_cast<decltype(&::name)>(dlsym(g_cudart, #name)))
#define SHOW(expression) std::printf("%s = %lld\n", #expression, static_cast<long long>(expression))

void block(const char* what, unsigned long long address, unsigned long long bytes) {
  std::printf("block %s 0x%llx %llu\n", what, address, bytes);
}

void open_cuda() {
  g_cuda = dlopen("libcuda.so.1", RTLD_NOW);
  g_cudart = dlopen("libcudart.so.13", RTLD_NOW);
  if (g_cuda == nullptr) std::exit(3);
  DRIVER(cuInit)(0);
}

// HAMi-core#192: allocations while a stream is being captured.
void capture() {
  open_cuda();
  cudaStream_t s = nullptr;
  cudaGraph_t graph = nullptr;
  void *p = nullptr, *q = nullptr;
  RUNTIME(cudaStreamCreate)(&s);
  SHOW(RUNTIME(cudaStreamBeginCapture)(s, cudaStreamCaptureModeGlobal));
  SHOW(RUNTIME(cudaMallocAsync)(&p, 1 << 20, s));
  SHOW(RUNTIME(cudaMallocAsync)(&q, 1 << 20, s));
  SHOW(RUNTIME(cudaFreeAsync)(q, s));
  SHOW(RUNTIME(cudaMalloc)(&q, 4096));  // refused in this mode; and invalidates the capture just the same
  SHOW(RUNTIME(cudaStreamEndCapture)(s, &graph));
  SHOW(graph != nullptr);
  SHOW(RUNTIME(cudaGetLastError)());
}

// HAMi-core#172: cuMemCreate on a thread that never had a context (torch's expandable segments).
void no_context() {
  open_cuda();
  std::thread([] {
    CUcontext current = nullptr;
    SHOW(DRIVER(cuCtxGetCurrent)(&current));
    SHOW(current != nullptr);
    CUmemAllocationProp prop{};
    prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    prop.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    prop.location.id = 1;
    CUmemGenericAllocationHandle handle = 0;
    SHOW(DRIVER(cuMemCreate)(&handle, 2 << 20, &prop, 0));
    block("created", handle, 2 << 20);
    CUdeviceptr p = 0;
    SHOW(DRIVER(cuMemAlloc_v2)(&p, 4096));  // 201: needs a context, and we give it none
    SHOW(DRIVER(cuCtxGetCurrent)(&current));
    SHOW(current != nullptr);
  }).join();
}

// HAMi-core#187: physical memory that is not on a device.
void host_location() {
  open_cuda();
  for (const int type :
       {CU_MEM_LOCATION_TYPE_HOST, CU_MEM_LOCATION_TYPE_HOST_NUMA, CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT}) {
    CUmemAllocationProp prop{};
    prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    prop.location.type = static_cast<CUmemLocationType>(type);
    CUmemGenericAllocationHandle handle = 0;
    const int code = DRIVER(cuMemCreate)(&handle, 2 << 20, &prop, 0);
    SHOW(code);
    if (code == 0) block("host", handle, 2 << 20);
  }
}

// HAMi-core#333: NULL out-parameters.
void null_out() {
  open_cuda();
  CUcontext context = nullptr;
  DRIVER(cuDevicePrimaryCtxRetain)(&context, 0);
  DRIVER(cuCtxSetCurrent)(context);
  SHOW(DRIVER(cuMemGetInfo_v2)(nullptr, nullptr));
  SHOW(DRIVER(cuMemAlloc_v2)(nullptr, 4096));
  SHOW(DRIVER(cuMemAllocAsync)(nullptr, 4096, nullptr));
  SHOW(DRIVER(cuMemAllocHost_v2)(nullptr, 4096));
  SHOW(DRIVER(cuMemCreate)(nullptr, 4096, nullptr, 0));
  SHOW(DRIVER(cuMemPoolCreate)(nullptr, nullptr));
  SHOW(DRIVER(cuGetProcAddress_v2)(nullptr, nullptr, 12000, 0, nullptr));
  SHOW(RUNTIME(cudaMalloc)(nullptr, 4096));
  SHOW(RUNTIME(cudaMallocHost)(nullptr, 4096));
  SHOW(RUNTIME(cudaFree)(nullptr));
  SHOW(RUNTIME(cudaGetLastError)());
}

// HAMi-core#57 and #52: the answer is for the version that was asked, never the newest.
void versions() {
  open_cuda();
  auto* get = DRIVER(cuGetProcAddress_v2);
  void *create_2000 = nullptr, *create_3020 = nullptr, *create_11040 = nullptr, *create_12050 = nullptr, *far = nullptr;
  CUdriverProcAddressQueryResult status{};
  SHOW(get("cuCtxCreate", &create_2000, 2000, 0, &status));
  SHOW(get("cuCtxCreate", &create_3020, 3020, 0, &status));
  SHOW(get("cuCtxCreate", &create_11040, 11040, 0, &status));
  SHOW(get("cuCtxCreate", &create_12050, 12050, 0, &status));
  SHOW(get("cuMemAlloc", &far, 99990, 0, &status));
  SHOW(create_2000 != create_3020);
  SHOW(create_3020 != create_11040);
  SHOW(create_11040 != create_12050);
  CUcontext context = nullptr;
  SHOW(reinterpret_cast<decltype(&::cuCtxCreate_v2)>(create_3020)(&context, 0, 1));
  SHOW(DRIVER(cuCtxDestroy_v2)(context));
  SHOW(reinterpret_cast<decltype(&::cuCtxCreate_v3)>(create_11040)(&context, nullptr, 0, 0, 1));
  SHOW(DRIVER(cuCtxDestroy_v2)(context));
  // The same question twice gives the same pointer.
  void* again = nullptr;
  SHOW(get("cuCtxCreate", &again, 3020, 0, &status));
  SHOW(again == create_3020);
  // Asked for itself, it answers with something that works.
  void* self = nullptr;
  SHOW(get("cuGetProcAddress", &self, 12000, 0, &status));
  SHOW(reinterpret_cast<decltype(get)>(self)("cuMemAlloc", &again, 3020, 0, &status));
  SHOW(again != nullptr);
  SHOW(get("", &again, 0, 0, &status));
}

// The per-thread stream flag, which HAMi-core ignores.
void per_thread() {
  open_cuda();
  void *plain = nullptr, *per_thread = nullptr, *legacy = nullptr;
  CUdriverProcAddressQueryResult status{};
  auto* get = DRIVER(cuGetProcAddress_v2);
  SHOW(get("cuMemAllocAsync", &plain, 12000, CU_GET_PROC_ADDRESS_DEFAULT, &status));
  SHOW(get("cuMemAllocAsync", &legacy, 12000, CU_GET_PROC_ADDRESS_LEGACY_STREAM, &status));
  SHOW(get("cuMemAllocAsync", &per_thread, 12000, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status));
  SHOW(plain == legacy);
  SHOW(plain != per_thread);
  SHOW(per_thread == reinterpret_cast<void*>(DRIVER(cuMemAllocAsync_ptsz)));
}

std::string program(const char* name) {
  const char* const folder = std::getenv("PROGRAMS");
  if (folder == nullptr) std::exit(3);
  return std::string(folder) + "/" + name;
}

// HAMi-core#215: names that only begin like CUDA's, and RTLD_NEXT asked by a library for itself.
void self_handle() {
  void* library = dlopen(program("libcudnn_double.so").c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) std::exit(3);
  SHOW(reinterpret_cast<int (*)(int)>(dlsym(library, "cudnnCreate"))(0));
  SHOW(reinterpret_cast<int (*)(int)>(dlsym(library, "cublasCreate_v2"))(0));
  SHOW(dlsym(library, "cudnnDestroy") != nullptr);
  SHOW(dlerror() != nullptr);
  SHOW(dlsym(RTLD_DEFAULT, "cudnnCreate") != nullptr);
  SHOW(dlsym(RTLD_NEXT, "cu") != nullptr);
  SHOW(dlsym(RTLD_NEXT, "c") != nullptr);
  dlerror();
}

// HAMi-core#36: a driver without cuGetProcAddress_v2; also internal entries, and versions from the future.
void old_driver() {
  g_cuda = dlopen(program("libold_driver.so").c_str(), RTLD_NOW);
  if (g_cuda == nullptr) std::exit(3);
  SHOW(dlsym(g_cuda, "cuGetProcAddress_v2") != nullptr);
  void *internal = nullptr, *future = nullptr, *unknown = nullptr;
  SHOW(DRIVER(cuGetProcAddress)("cuMemAlloc", &internal, 11000, 0));
  SHOW(DRIVER(cuGetProcAddress)("cuMemAlloc", &future, 99000, 0));
  SHOW(DRIVER(cuGetProcAddress)("cuMemFree", &unknown, 11000, 0));
  CUdeviceptr p = 0;
  SHOW(reinterpret_cast<decltype(&::cuMemAlloc_v2)>(internal)(&p, 777));
  block("internal", p, 777);
  SHOW(reinterpret_cast<CUresult (*)(int, CUdeviceptr*, size_t)>(future)(42, &p, 888));
  SHOW(DRIVER(cuMemFree_v2)(p));
  SHOW(DRIVER(cuMemAlloc_v2)(&p, 999));
  block("exported", p, 999);
}

// Two allocations that hooks see; with HIDDEN two more that only CUPTI sees, one of them freed (cupti_double.cpp).
void witness() {
  open_cuda();
  auto* alloc = reinterpret_cast<decltype(&::cudaMalloc)>(dlsym(RTLD_DEFAULT, "cudaMalloc"));
  void *p = nullptr, *q = nullptr;
  SHOW(alloc(&p, 1000));
  SHOW(alloc(&q, 2000));
  SHOW(reinterpret_cast<decltype(&::cudaFree)>(dlsym(RTLD_DEFAULT, "cudaFree"))(q));
  block("hooked", reinterpret_cast<unsigned long long>(p), 1000);
  if (std::getenv("HIDDEN") == nullptr) return;
  auto* hidden = reinterpret_cast<int (*)(unsigned long long*, size_t)>(dlsym(RTLD_DEFAULT, "hidden_malloc"));
  auto* hidden_free = reinterpret_cast<int (*)(unsigned long long)>(dlsym(RTLD_DEFAULT, "hidden_free"));
  unsigned long long kept = 0, freed = 0;
  SHOW(hidden(&kept, 3000));
  SHOW(hidden(&freed, 4000));
  SHOW(hidden_free(freed));
  block("hidden", kept, 3000);
  if (std::getenv("HIDDEN_SHAPES") == nullptr) return;
  auto* hidden_pitch =
      reinterpret_cast<int (*)(unsigned long long*, size_t*, size_t, size_t)>(dlsym(RTLD_DEFAULT, "hidden_pitch"));
  auto* hidden_array =
      reinterpret_cast<int (*)(CUarray*, const CUDA_ARRAY_DESCRIPTOR*)>(dlsym(RTLD_DEFAULT, "hidden_array"));
  unsigned long long pitched = 0;
  std::size_t pitch = 0;
  SHOW(hidden_pitch(&pitched, &pitch, 1000, 10));
  block("pitched", pitched, pitch * 10);
  const CUDA_ARRAY_DESCRIPTOR desc{100, 50, CU_AD_FORMAT_FLOAT, 2};
  CUarray array = nullptr;
  SHOW(hidden_array(&array, &desc));
  block("array", reinterpret_cast<unsigned long long>(array), 100 * 50 * 2 * 4);
}

// A graph that allocates at its launch. HIDDEN: one of its nodes is made where no hook sees it.
void witness_graph() {
  open_cuda();
  auto* alloc = reinterpret_cast<decltype(&::cudaMalloc)>(dlsym(RTLD_DEFAULT, "cudaMalloc"));
  auto* add = reinterpret_cast<decltype(&::cudaGraphAddMemAllocNode)>(dlsym(RTLD_DEFAULT, "cudaGraphAddMemAllocNode"));
  auto* launch = reinterpret_cast<decltype(&::cudaGraphLaunch)>(dlsym(RTLD_DEFAULT, "cudaGraphLaunch"));
  void* p = nullptr;
  SHOW(alloc(&p, 1000));
  block("first", reinterpret_cast<unsigned long long>(p), 1000);
  cudaGraph_t graph = nullptr;
  cudaGraphNode_t node = nullptr;
  cudaGraphExec_t exec = nullptr;
  RUNTIME(cudaGraphCreate)(&graph, 0);
  cudaMemAllocNodeParams params{};
  params.poolProps.allocType = cudaMemAllocationTypePinned;
  params.poolProps.location = {cudaMemLocationTypeDevice, {0}};
  params.bytesize = 1 << 20;
  if (std::getenv("NO_MEMORY") == nullptr) {
    SHOW(add(&node, graph, nullptr, 0, &params));
    block("node", reinterpret_cast<unsigned long long>(params.dptr), params.bytesize);
  }
  if (std::getenv("HIDDEN") != nullptr) {
    auto* hidden =
        reinterpret_cast<int (*)(CUgraphNode*, CUgraph, CUgraphNodeParams*)>(dlsym(RTLD_DEFAULT, "hidden_graph_node"));
    CUgraphNodeParams wanted{};
    wanted.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC;
    wanted.alloc.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    wanted.alloc.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, {0}};
    wanted.alloc.bytesize = 5000;
    SHOW(hidden(reinterpret_cast<CUgraphNode*>(&node), reinterpret_cast<CUgraph>(graph), &wanted));
    block("hidden", wanted.alloc.dptr, wanted.alloc.bytesize);
    wanted = {};
    wanted.type = CU_GRAPH_NODE_TYPE_EMPTY;  // no memory: nothing to record
    SHOW(hidden(reinterpret_cast<CUgraphNode*>(&node), reinterpret_cast<CUgraph>(graph), &wanted));
  }
  SHOW(RUNTIME(cudaGraphInstantiate)(&exec, graph, cudaGraphInstantiateFlagAutoFreeOnLaunch));
  for (int i = 0; i < 3; ++i) SHOW(launch(exec, nullptr));
}

// A program that uses CUPTI itself, as torch.profiler does: by a call that the loader binds, after its first
// allocation.
void profiler() {
  open_cuda();
  auto* alloc = reinterpret_cast<decltype(&::cudaMalloc)>(dlsym(RTLD_DEFAULT, "cudaMalloc"));
  void *p = nullptr, *q = nullptr;
  SHOW(alloc(&p, 1000));
  SHOW(alloc(&q, 2000));
  using Subscribe = int(void**, void*, void*);
  void* subscriber = nullptr;
  SHOW(reinterpret_cast<Subscribe*>(dlsym(RTLD_DEFAULT, "cuptiSubscribe"))(&subscriber, nullptr, nullptr));
  SHOW(subscriber != nullptr);
  void* r = nullptr;
  SHOW(alloc(&r, 3000));
  block("first", reinterpret_cast<unsigned long long>(p), 1000);
  block("second", reinterpret_cast<unsigned long long>(q), 2000);
  block("third", reinterpret_cast<unsigned long long>(r), 3000);
}

// Loaded by the driver (CUDA_INJECTION64_PATH) instead of by LD_PRELOAD.
void injected() {
  void* library = dlopen(std::getenv("INJECTION"), RTLD_NOW);
  if (library == nullptr) std::exit(3);
  open_cuda();
  SHOW(reinterpret_cast<int (*)()>(dlsym(library, "InitializeInjection"))());
  auto* hidden = reinterpret_cast<int (*)(unsigned long long*, size_t)>(dlsym(RTLD_DEFAULT, "hidden_malloc"));
  CUcontext context = nullptr;
  DRIVER(cuDevicePrimaryCtxRetain)(&context, 0);
  DRIVER(cuCtxSetCurrent)(context);
  unsigned long long kept = 0;
  SHOW(hidden(&kept, 5000));
  block("injected", kept, 5000);
}

// A program without CUDA: looks for it, does not find it, goes on; leaves no trace.
void absent() {
  SHOW(dlsym(RTLD_DEFAULT, "cudaMalloc") != nullptr);
  SHOW(dlsym(RTLD_DEFAULT, "cuMemAlloc_v2") != nullptr);
  void* self = dlopen(nullptr, RTLD_NOW);
  SHOW(dlsym(self, "cudaMalloc") != nullptr);
  SHOW(dlerror() != nullptr);
  SHOW(dlopen("libcuda_that_is_not_there.so.1", RTLD_NOW) != nullptr);
  errno = 4242;
  SHOW(dlsym(self, "main_that_is_not_there") != nullptr);
  SHOW(errno);
}

}  // namespace

struct Mode {
  const char* name;
  void (*run)();
};
const Mode modes[] = {{"capture", capture},
                      {"no_context", no_context},
                      {"host_location", host_location},
                      {"null_out", null_out},
                      {"versions", versions},
                      {"per_thread", per_thread},
                      {"self_handle", self_handle},
                      {"old_driver", old_driver},
                      {"witness", witness},
                      {"witness_graph", witness_graph},
                      {"injected", injected},
                      {"profiler", profiler},
                      {"absent", absent}};

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (const Mode& mode : modes) {
    if (argc != 2 || std::strcmp(argv[1], mode.name) != 0) continue;
    mode.run();
    return 0;
  }
  return 2;
}
