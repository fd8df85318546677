// One case for each row of the hook table: what is called, and what must have been recorded. Every allocation is made
// twice, once kept and once freed, and once more in a size that must be refused.
#include <cstring>

#include "test/corpus/doors/case_tools.hpp"

namespace doors {

namespace {

const auto ptds = reinterpret_cast<cudaStream_t>(2);  // cudaStreamPerThread

/// An allocation that is `call(&address, size)`: kept, freed by `drop`, refused.
template <class Pointer, class Call, class Drop>
void allocation(const char* name, const char* kind, std::uint64_t stream, Call call, Drop drop,
                bool may_refuse = true) {
  Pointer kept{}, freed{}, refused{};
  if (CALL("keep", call(&kept, bytes)) == 0) expect_live(name, number(kept), bytes, kind, stream);
  if (CALL("again", call(&freed, bytes)) == 0) {
    CALL("drop", drop(freed));
    expect_gone(name, number(freed));
  }
  if (may_refuse) CALL("refuse", call(&refused, too_much));
  PLAIN(cudaGetLastError)();
  if (std::strncmp(name, "cuda", 4) == 0) CALL("null", call(nullptr, bytes));
  PLAIN(cudaGetLastError)();
}

/// A free that is `drop(address)`: of a block, of the same address again, of NULL.
template <class Make, class Drop>
void release(const char* name, Make make, Drop drop) {
  const auto p = make();
  CALL("drop", drop(p));
  expect_gone(name, number(p));
  CALL("twice", drop(p));
  PLAIN(cudaGetLastError)();
  CALL("null", drop(decltype(p){}));
  PLAIN(cudaGetLastError)();
}

void* device_block() {
  void* p = nullptr;
  PLAIN(cudaMalloc)(&p, bytes);
  return p;
}
CUdeviceptr driver_block() { return reinterpret_cast<CUdeviceptr>(device_block()); }
void* pool_block() {
  void* p = nullptr;
  PLAIN(cudaMallocAsync)(&p, bytes, nullptr);
  return p;
}
void* pinned_block() {
  void* p = nullptr;
  PLAIN(cudaMallocHost)(&p, bytes);
  return p;
}

// ---- runtime: device, managed, pinned ------------------------------------------------------------------------------
CASE(cudaMalloc,
     { allocation<void*>(name, "device", 0, DOOR(cudaMalloc), [](void* p) { return PLAIN(cudaFree)(p); }); })
CASE(cudaMallocManaged, {
  allocation<void*>(
      name, "managed", 0, [](void** p, std::size_t n) { return DOOR(cudaMallocManaged)(p, n, cudaMemAttachGlobal); },
      [](void* p) { return PLAIN(cudaFree)(p); }, false);
})
CASE(cudaMallocHost, {
  allocation<void*>(
      name, "host_pinned", 0, DOOR(cudaMallocHost), [](void* p) { return PLAIN(cudaFreeHost)(p); }, false);
})
CASE(cudaHostAlloc, {
  allocation<void*>(
      name, "host_pinned", 0, [](void** p, std::size_t n) { return DOOR(cudaHostAlloc)(p, n, 0); },
      [](void* p) { return PLAIN(cudaFreeHost)(p); }, false);
})
CASE(cudaFree, { release(name, device_block, DOOR(cudaFree)); })
CASE(cudaFreeHost, { release(name, pinned_block, DOOR(cudaFreeHost)); })
CASE(cudaMallocPitch, {
  void* p = nullptr;
  std::size_t pitch = 0;
  if (CALL("keep", DOOR(cudaMallocPitch)(&p, &pitch, 1000, 64)) == 0)
    expect_live(name, number(p), pitch * 64, "device");
  CALL("refuse", DOOR(cudaMallocPitch)(&p, &pitch, too_much, 64));
  PLAIN(cudaGetLastError)();
})
CASE(cudaMalloc3D, {
  cudaPitchedPtr p{};
  if (CALL("keep", DOOR(cudaMalloc3D)(&p, cudaExtent{1000, 16, 4})) == 0)
    expect_live(name, number(p.ptr), p.pitch * 16 * 4, "device");
})
char g_foreign[8][65536] __attribute__((aligned(4096)));
int g_next_foreign = 0;
void* foreign() { return g_foreign[g_next_foreign++]; }
CASE(cudaHostRegister, {
  void* kept = foreign();
  void* dropped = foreign();
  if (CALL("keep", DOOR(cudaHostRegister)(kept, 65536, 0)) == 0) expect_live(name, number(kept), 65536, "registered");
  if (CALL("again", DOOR(cudaHostRegister)(dropped, 65536, 0)) == 0) {
    PLAIN(cudaHostUnregister)(dropped);
    expect_gone(name, number(dropped));
  }
})
CASE(cudaHostUnregister, {
  void* p = foreign();
  PLAIN(cudaHostRegister)(p, 65536, 0);
  CALL("drop", DOOR(cudaHostUnregister)(p));
  expect_gone(name, number(p));
  CALL("twice", DOOR(cudaHostUnregister)(p));
  PLAIN(cudaGetLastError)();
})

// ---- runtime: arrays -----------------------------------------------------------------------------------------------
const cudaChannelFormatDesc float4_format{32, 32, 32, 32, cudaChannelFormatKindFloat};
CASE(cudaMallocArray, {
  cudaArray_t a = nullptr;
  if (CALL("keep", DOOR(cudaMallocArray)(&a, &float4_format, 64, 32, 0)) == 0)
    expect_live(name, number(a), 64 * 32 * 16, "array");
})
CASE(cudaMalloc3DArray, {
  cudaArray_t a = nullptr;
  if (CALL("keep", DOOR(cudaMalloc3DArray)(&a, &float4_format, cudaExtent{64, 32, 6}, cudaArrayLayered)) == 0)
    expect_live(name, number(a), 64 * 32 * 16 * 6, "array");
})
CASE(cudaMallocMipmappedArray, {
  cudaMipmappedArray_t a = nullptr;
  if (CALL("keep", DOOR(cudaMallocMipmappedArray)(&a, &float4_format, cudaExtent{64, 32, 0}, 3, 0)) == 0)
    expect_live(name, number(a), (64 * 32 + 32 * 16 + 16 * 8) * 16, "array");
})
CASE(cudaFreeArray, {
  cudaArray_t a = nullptr;
  PLAIN(cudaMallocArray)(&a, &float4_format, 64, 32, 0);
  CALL("drop", DOOR(cudaFreeArray)(a));
  expect_gone(name, number(a));
})
CASE(cudaFreeMipmappedArray, {
  cudaMipmappedArray_t a = nullptr;
  PLAIN(cudaMallocMipmappedArray)(&a, &float4_format, cudaExtent{64, 32, 0}, 3, 0);
  CALL("drop", DOOR(cudaFreeMipmappedArray)(a));
  expect_gone(name, number(a));
})

// ---- runtime: stream-ordered ---------------------------------------------------------------------------------------
cudaStream_t stream() {
  static cudaStream_t made = [] {
    cudaStream_t s = nullptr;
    PLAIN(cudaStreamCreate)(&s);
    return s;
  }();
  return made;
}
template <class Pool, class Create, class Props>
Pool make_pool(Create create) {
  Props props{};
  props.allocType = static_cast<decltype(props.allocType)>(1);
  props.location.type = static_cast<decltype(props.location.type)>(1);
  props.location.id = 0;
  Pool pool{};
  create(&pool, &props);
  return pool;
}
cudaMemPool_t runtime_pool() {
  return make_pool<cudaMemPool_t, decltype(&::cudaMemPoolCreate), cudaMemPoolProps>(PLAIN(cudaMemPoolCreate));
}
CUmemoryPool driver_pool() {
  return make_pool<CUmemoryPool, decltype(&::cuMemPoolCreate), CUmemPoolProps>(PLAIN(cuMemPoolCreate));
}
template <class F>
void runtime_async(const char* name, F* door, cudaStream_t s) {
  allocation<void*>(
      name, "pool", number(s), [=](void** p, std::size_t n) { return door(p, n, s); },
      [=](void* p) { return PLAIN(cudaFreeAsync)(p, s); });
}
CASE(cudaMallocAsync, { runtime_async(name, DOOR(cudaMallocAsync), stream()); })
CASE(cudaMallocAsync_ptsz, { runtime_async(name, DOOR(cudaMallocAsync_ptsz), ptds); })
template <class F>
void runtime_from_pool(const char* name, F* door) {
  static cudaMemPool_t pool = runtime_pool();
  allocation<void*>(
      name, "pool", number(stream()), [=](void** p, std::size_t n) { return door(p, n, pool, stream()); },
      [](void* p) { return PLAIN(cudaFreeAsync)(p, stream()); });
}
CASE(cudaMallocFromPoolAsync, { runtime_from_pool(name, DOOR(cudaMallocFromPoolAsync)); })
CASE(cudaMallocFromPoolAsync_ptsz, { runtime_from_pool(name, DOOR(cudaMallocFromPoolAsync_ptsz)); })
CASE(cudaFreeAsync, { release(name, pool_block, [](void* p) { return DOOR(cudaFreeAsync)(p, stream()); }); })
CASE(cudaFreeAsync_ptsz, { release(name, pool_block, [](void* p) { return DOOR(cudaFreeAsync_ptsz)(p, ptds); }); })
template <class Pool, class Props, class Create, class Alloc>
void pool_on_device_1(const char* name, Create create, Alloc alloc) {
  Props props{};
  props.allocType = static_cast<decltype(props.allocType)>(1);
  props.location.type = static_cast<decltype(props.location.type)>(1);
  props.location.id = 1;
  Pool pool{};
  CALL("create", create(&pool, &props));
  decltype(alloc(pool)) p = alloc(pool);
  expect_live(name, number(p), bytes, "pool");
  std::printf("device %s 0x%llx 1\n", name, static_cast<unsigned long long>(number(p)));
}
CASE(cudaMemPoolCreate, {
  pool_on_device_1<cudaMemPool_t, cudaMemPoolProps>(name, DOOR(cudaMemPoolCreate), [](cudaMemPool_t pool) {
    void* p = nullptr;
    PLAIN(cudaMallocFromPoolAsync)(&p, bytes, pool, nullptr);
    return p;
  });
})
CASE(cuMemPoolCreate, {
  pool_on_device_1<CUmemoryPool, CUmemPoolProps>(name, DOOR(cuMemPoolCreate), [](CUmemoryPool pool) {
    CUdeviceptr p = 0;
    PLAIN(cuMemAllocFromPoolAsync)(&p, bytes, pool, nullptr);
    return p;
  });
})
CASE(cudaMemPoolDestroy, {
  // A block outlives its pool.
  cudaMemPool_t pool = runtime_pool();
  void* p = nullptr;
  PLAIN(cudaMallocFromPoolAsync)(&p, bytes, pool, nullptr);
  CALL("destroy", DOOR(cudaMemPoolDestroy)(pool));
  expect_live(name, number(p), bytes, "pool");
})
CASE(cuMemPoolDestroy, {
  CUmemoryPool pool = driver_pool();
  CUdeviceptr p = 0;
  PLAIN(cuMemAllocFromPoolAsync)(&p, bytes, pool, nullptr);
  CALL("destroy", DOOR(cuMemPoolDestroy)(pool));
  expect_live(name, number(p), bytes, "pool");
})

// ---- runtime: graphs -----------------------------------------------------------------------------------------------
template <class Params>
Params graph_params() {
  Params params{};
  params.poolProps.allocType = static_cast<decltype(params.poolProps.allocType)>(1);
  params.poolProps.location.type = static_cast<decltype(params.poolProps.location.type)>(1);
  params.bytesize = bytes;
  return params;
}
cudaGraph_t graph() {
  static cudaGraph_t made = [] {
    cudaGraph_t g = nullptr;
    PLAIN(cudaGraphCreate)(&g, 0);
    return g;
  }();
  return made;
}
CASE(cudaGraphAddMemAllocNode, {
  auto params = graph_params<cudaMemAllocNodeParams>();
  cudaGraphNode_t node = nullptr;
  if (CALL("keep", DOOR(cudaGraphAddMemAllocNode)(&node, graph(), nullptr, 0, &params)) == 0)
    expect_live(name, number(params.dptr), bytes, "graph");
})
CASE(cudaGraphAddMemFreeNode, {
  auto params = graph_params<cudaMemAllocNodeParams>();
  cudaGraphNode_t node = nullptr, free_node = nullptr;
  PLAIN(cudaGraphAddMemAllocNode)(&node, graph(), nullptr, 0, &params);
  CALL("drop", DOOR(cudaGraphAddMemFreeNode)(&free_node, graph(), &node, 1, params.dptr));
  expect_gone(name, number(params.dptr));
})
template <class Params, class Node, class F>
void graph_node(const char* name, F add) {
  Params kept{}, dropped{}, freeing{};
  for (Params* p : {&kept, &dropped}) {
    p->type = static_cast<decltype(p->type)>(CU_GRAPH_NODE_TYPE_MEM_ALLOC);
    p->alloc.poolProps.allocType = static_cast<decltype(p->alloc.poolProps.allocType)>(1);
    p->alloc.poolProps.location.type = static_cast<decltype(p->alloc.poolProps.location.type)>(1);
    p->alloc.bytesize = bytes;
  }
  Node node{}, second{}, third{};
  if (CALL("keep", add(&node, nullptr, std::size_t{0}, &kept)) != 0) return;
  expect_live(name, number(kept.alloc.dptr), bytes, "graph");
  CALL("again", add(&second, nullptr, std::size_t{0}, &dropped));
  freeing.type = static_cast<decltype(freeing.type)>(CU_GRAPH_NODE_TYPE_MEM_FREE);
  freeing.free.dptr = dropped.alloc.dptr;
  CALL("drop", add(&third, &second, std::size_t{1}, &freeing));
  expect_gone(name, number(dropped.alloc.dptr));
}
CASE(cudaGraphAddNode, {
  graph_node<cudaGraphNodeParams, cudaGraphNode_t>(name, [](cudaGraphNode_t* node, const cudaGraphNode_t* from,
                                                            std::size_t n, cudaGraphNodeParams* params) {
    if (g_way.runtime >= 13) return DOOR(cudaGraphAddNode)(node, graph(), from, nullptr, n, params);
    using Old = cudaError_t(cudaGraphNode_t*, cudaGraph_t, const cudaGraphNode_t*, std::size_t, cudaGraphNodeParams*);
    return way_to<Old>("cudaGraphAddNode")(node, graph(), from, n, params);
  });
})
CASE(cudaGraphAddNode_v2, {
  if (g_way.runtime >= 13) return;
  graph_node<cudaGraphNodeParams, cudaGraphNode_t>(
      name, [](cudaGraphNode_t* node, const cudaGraphNode_t* from, std::size_t n, cudaGraphNodeParams* params) {
        return DOOR(cudaGraphAddNode_v2)(node, graph(), from, nullptr, n, params);
      });
})
CUgraph driver_graph() { return reinterpret_cast<CUgraph>(graph()); }
CASE(cuGraphAddNode, {
  graph_node<CUgraphNodeParams, CUgraphNode>(
      name, [](CUgraphNode* node, const CUgraphNode* from, std::size_t n, CUgraphNodeParams* params) {
        return DOOR(cuGraphAddNode)(node, driver_graph(), from, n, params);
      });
})
CASE(cuGraphAddNode_v2, {
  graph_node<CUgraphNodeParams, CUgraphNode>(
      name, [](CUgraphNode* node, const CUgraphNode* from, std::size_t n, CUgraphNodeParams* params) {
        return DOOR(cuGraphAddNode_v2)(node, driver_graph(), from, nullptr, n, params);
      });
})
CASE(cuGraphAddMemAllocNode, {
  auto params = graph_params<CUDA_MEM_ALLOC_NODE_PARAMS>();
  CUgraphNode node = nullptr;
  if (CALL("keep", DOOR(cuGraphAddMemAllocNode)(&node, driver_graph(), nullptr, 0, &params)) == 0)
    expect_live(name, number(params.dptr), bytes, "graph");
})
CASE(cuGraphAddMemFreeNode, {
  auto params = graph_params<CUDA_MEM_ALLOC_NODE_PARAMS>();
  CUgraphNode node = nullptr, free_node = nullptr;
  PLAIN(cuGraphAddMemAllocNode)(&node, driver_graph(), nullptr, 0, &params);
  CALL("drop", DOOR(cuGraphAddMemFreeNode)(&free_node, driver_graph(), &node, 1, params.dptr));
  expect_gone(name, number(params.dptr));
})

// ---- driver: device, managed, pinned -------------------------------------------------------------------------------
CASE(cuMemAlloc_v2, {
  allocation<CUdeviceptr>(name, "device", 0, DOOR(cuMemAlloc_v2), [](CUdeviceptr p) { return PLAIN(cuMemFree_v2)(p); });
})
// The functions of CUDA 2 and 3, with 32-bit addresses: a 64-bit driver refuses them; they must pass through unharmed.
CASE(cuMemAlloc, {
  CUdeviceptr_v1 p = 0;
  CALL("keep", DOOR(cuMemAlloc)(&p, 4096));
})
CASE(cuMemFree, { CALL("drop", DOOR(cuMemFree)(0)); })
CASE(cuMemAllocPitch, {
  CUdeviceptr_v1 p = 0;
  unsigned pitch = 0;
  CALL("keep", DOOR(cuMemAllocPitch)(&p, &pitch, 1000, 64, 4));
})
CASE(cuMemAllocPitch_v2, {
  CUdeviceptr p = 0;
  std::size_t pitch = 0;
  if (CALL("keep", DOOR(cuMemAllocPitch_v2)(&p, &pitch, 1000, 64, 4)) == 0) expect_live(name, p, pitch * 64, "device");
})
CASE(cuMemAllocManaged, {
  allocation<CUdeviceptr>(
      name, "managed", 0,
      [](CUdeviceptr* p, std::size_t n) { return DOOR(cuMemAllocManaged)(p, n, CU_MEM_ATTACH_GLOBAL); },
      [](CUdeviceptr p) { return PLAIN(cuMemFree_v2)(p); }, false);
})
CASE(cuMemFree_v2, { release(name, driver_block, DOOR(cuMemFree_v2)); })
CASE(cuMemAllocHost, {
  void* p = nullptr;
  if (CALL("keep", DOOR(cuMemAllocHost)(&p, 8192)) == 0) expect_live(name, number(p), 8192, "host_pinned");
})
CASE(cuMemAllocHost_v2, {
  allocation<void*>(
      name, "host_pinned", 0, DOOR(cuMemAllocHost_v2), [](void* p) { return PLAIN(cuMemFreeHost)(p); }, false);
})
CASE(cuMemHostAlloc, {
  allocation<void*>(
      name, "host_pinned", 0, [](void** p, std::size_t n) { return DOOR(cuMemHostAlloc)(p, n, 0); },
      [](void* p) { return PLAIN(cuMemFreeHost)(p); }, false);
})
CASE(cuMemFreeHost, { release(name, pinned_block, DOOR(cuMemFreeHost)); })
template <class F>
void driver_register(const char* name, F door) {
  void* kept = foreign();
  if (CALL("keep", door(kept, std::size_t{65536}, 0u)) == 0) expect_live(name, number(kept), 65536, "registered");
}
CASE(cuMemHostRegister, { driver_register(name, DOOR(cuMemHostRegister)); })
CASE(cuMemHostRegister_v2, { driver_register(name, DOOR(cuMemHostRegister_v2)); })
CASE(cuMemHostUnregister, {
  void* p = foreign();
  PLAIN(cuMemHostRegister_v2)(p, 65536, 0);
  CALL("drop", DOOR(cuMemHostUnregister)(p));
  expect_gone(name, number(p));
})

// ---- driver: arrays ------------------------------------------------------------------------------------------------
template <class Descriptor>
Descriptor array_descriptor() {
  Descriptor d{};
  d.Width = 64;
  d.Height = 32;
  d.Format = CU_AD_FORMAT_FLOAT;
  d.NumChannels = 4;
  return d;
}
template <class Descriptor, class F>
void driver_array(const char* name, F door) {
  const auto d = array_descriptor<Descriptor>();
  CUarray a = nullptr;
  if (CALL("keep", door(&a, &d)) == 0) expect_live(name, number(a), 64 * 32 * 16, "array");
}
CASE(cuArrayCreate, { driver_array<CUDA_ARRAY_DESCRIPTOR_v1>(name, DOOR(cuArrayCreate)); })
CASE(cuArrayCreate_v2, { driver_array<CUDA_ARRAY_DESCRIPTOR>(name, DOOR(cuArrayCreate_v2)); })
CASE(cuArray3DCreate, { driver_array<CUDA_ARRAY3D_DESCRIPTOR_v1>(name, DOOR(cuArray3DCreate)); })
CASE(cuArray3DCreate_v2, { driver_array<CUDA_ARRAY3D_DESCRIPTOR>(name, DOOR(cuArray3DCreate_v2)); })
CASE(cuMipmappedArrayCreate, {
  const auto d = array_descriptor<CUDA_ARRAY3D_DESCRIPTOR>();
  CUmipmappedArray a = nullptr;
  if (CALL("keep", DOOR(cuMipmappedArrayCreate)(&a, &d, 2)) == 0)
    expect_live(name, number(a), (64 * 32 + 32 * 16) * 16, "array");
})
CASE(cuArrayDestroy, {
  const auto d = array_descriptor<CUDA_ARRAY_DESCRIPTOR>();
  CUarray a = nullptr;
  PLAIN(cuArrayCreate_v2)(&a, &d);
  CALL("drop", DOOR(cuArrayDestroy)(a));
  expect_gone(name, number(a));
})
CASE(cuMipmappedArrayDestroy, {
  const auto d = array_descriptor<CUDA_ARRAY3D_DESCRIPTOR>();
  CUmipmappedArray a = nullptr;
  PLAIN(cuMipmappedArrayCreate)(&a, &d, 2);
  CALL("drop", DOOR(cuMipmappedArrayDestroy)(a));
  expect_gone(name, number(a));
})

// ---- driver: stream-ordered
// ------------------------------------------------------------------------------------------
CUstream driver_stream() { return reinterpret_cast<CUstream>(stream()); }
template <class F>
void driver_async(const char* name, F* door) {
  allocation<CUdeviceptr>(
      name, "pool", number(driver_stream()), [=](CUdeviceptr* p, std::size_t n) { return door(p, n, driver_stream()); },
      [](CUdeviceptr p) { return PLAIN(cuMemFreeAsync)(p, driver_stream()); });
}
CASE(cuMemAllocAsync, { driver_async(name, DOOR(cuMemAllocAsync)); })
CASE(cuMemAllocAsync_ptsz, { driver_async(name, DOOR(cuMemAllocAsync_ptsz)); })
template <class F>
void driver_from_pool(const char* name, F* door) {
  static CUmemoryPool pool = driver_pool();
  allocation<CUdeviceptr>(
      name, "pool", 0, [=](CUdeviceptr* p, std::size_t n) { return door(p, n, pool, nullptr); },
      [](CUdeviceptr p) { return PLAIN(cuMemFreeAsync)(p, nullptr); });
}
CASE(cuMemAllocFromPoolAsync, { driver_from_pool(name, DOOR(cuMemAllocFromPoolAsync)); })
CASE(cuMemAllocFromPoolAsync_ptsz, { driver_from_pool(name, DOOR(cuMemAllocFromPoolAsync_ptsz)); })
CUdeviceptr driver_pool_block() { return reinterpret_cast<CUdeviceptr>(pool_block()); }
CASE(cuMemFreeAsync,
     { release(name, driver_pool_block, [](CUdeviceptr p) { return DOOR(cuMemFreeAsync)(p, nullptr); }); })
CASE(cuMemFreeAsync_ptsz,
     { release(name, driver_pool_block, [](CUdeviceptr p) { return DOOR(cuMemFreeAsync_ptsz)(p, nullptr); }); })

}  // namespace

void run_cases() {
  PLAIN(cuInit)(0);
  PLAIN(cudaSetDevice)(0);
  PLAIN(cudaFree)(nullptr);
  for (const auto& [row, body] : cases()) {
    if (find(row.c_str()) == nullptr) {
      std::printf("unreachable %s\n", row.c_str());
      continue;
    }
    std::printf("case %s\n", row.c_str());
    body(row.c_str());
  }
}

}  // namespace doors
