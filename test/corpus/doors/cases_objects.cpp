// Cases of rows that deal with objects: VMM handles, contexts, imports, entry points.
#include <cstring>

#include "test/corpus/doors/case_tools.hpp"

namespace doors {

namespace {

// ---- virtual memory management
// ---------------------------------------------------------------------------------------
constexpr std::size_t page = 2 * 1024 * 1024;

CUmemAllocationProp physical(CUmemLocationType type = CU_MEM_LOCATION_TYPE_DEVICE) {
  CUmemAllocationProp prop{};
  prop.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  prop.location.type = type;
  prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  return prop;
}
CUmemGenericAllocationHandle create() {
  const auto prop = physical();
  CUmemGenericAllocationHandle handle = 0;
  PLAIN(cuMemCreate)(&handle, page, &prop, 0);
  return handle;
}
CUdeviceptr reserve() {
  CUdeviceptr p = 0;
  PLAIN(cuMemAddressReserve)(&p, 4 * page, 0, 0, 0);
  return p;
}

CASE(cuMemCreate, {
  const auto prop = physical();
  CUmemGenericAllocationHandle kept = 0, dropped = 0, refused = 0;
  if (CALL("keep", DOOR(cuMemCreate)(&kept, page, &prop, 0)) == 0) expect_live(name, kept, page, "vmm");
  if (CALL("again", DOOR(cuMemCreate)(&dropped, page, &prop, 0)) == 0) {
    PLAIN(cuMemRelease)(dropped);
    expect_gone(name, dropped);
  }
  CALL("refuse", DOOR(cuMemCreate)(&refused, too_much, &prop, 0));
})
CASE(cuMemRelease, {
  const auto handle = create();
  CALL("drop", DOOR(cuMemRelease)(handle));
  expect_gone(name, handle);
  CALL("twice", DOOR(cuMemRelease)(handle));
})
// Released, but still mapped: the memory lives.
CASE(cuMemMap, {
  const auto handle = create();
  const CUdeviceptr p = reserve();
  CALL("map", DOOR(cuMemMap)(p, page, 0, handle, 0));
  PLAIN(cuMemRelease)(handle);
  expect_live(name, handle, page, "vmm", p);  // the trace says where in place of the stream
})
// Two mappings of one handle: the memory goes with the last of them.
CASE(cuMemUnmap, {
  const auto handle = create(), still = create();
  const CUdeviceptr p = reserve();
  for (int i = 0; i < 2; ++i) PLAIN(cuMemMap)(p + static_cast<unsigned>(i) * page, page, 0, handle, 0);
  PLAIN(cuMemMap)(p + 2 * page, page, 0, still, 0);
  PLAIN(cuMemRelease)(handle);
  CALL("drop", DOOR(cuMemUnmap)(p, 2 * page));
  expect_gone(name, handle);
  CALL("not mapped", DOOR(cuMemUnmap)(p, page));
  CALL("drop", DOOR(cuMemUnmap)(p + 2 * page, page));
  expect_live(name, still, page, "vmm");  // its creator's reference is left
})
// Retained: one more release is due.
CASE(cuMemRetainAllocationHandle, {
  const auto once = create(), twice = create();
  const CUdeviceptr p = reserve();
  for (const auto handle : {once, twice}) {
    PLAIN(cuMemMap)(p, page, 0, handle, 0);
    CUmemGenericAllocationHandle same = 0;
    CALL("retain", DOOR(cuMemRetainAllocationHandle)(&same, reinterpret_cast<void*>(p)));
    PLAIN(cuMemUnmap)(p, page);
    PLAIN(cuMemRelease)(handle);
    if (handle == twice) PLAIN(cuMemRelease)(handle);
  }
  expect_live(name, once, page, "vmm");
  expect_gone(name, twice);
})
CASE(cuMemImportFromShareableHandle, {
  const auto handle = create();
  int fd = -1;
  CUmemGenericAllocationHandle imported = 0;
  CALL("export", PLAIN(cuMemExportToShareableHandle)(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
  CALL("import", DOOR(cuMemImportFromShareableHandle)(&imported, reinterpret_cast<void*>(std::intptr_t{fd}),
                                                      CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
  if (imported != 0) PLAIN(cuMemRelease)(imported);
  PLAIN(cuMemRelease)(handle);
  expect_gone(name, handle);
})
CASE(cuMulticastCreate, {
  CUmulticastObjectProp prop{};
  prop.numDevices = 2;
  prop.size = page;
  CUmemGenericAllocationHandle handle = 0;
  CALL("create", DOOR(cuMulticastCreate)(&handle, &prop));  // an object, no memory
  if (handle != 0) PLAIN(cuMemRelease)(handle);
})

// ---- contexts
// ----------------------------------------------------------------------------------------------------------
/// A context of its own on device 1 with one block of each kind that dies with it, and two that do not.
struct InContext {
  CUdeviceptr device = 0, pool = 0;
  void* pinned = nullptr;
};
InContext fill() {
  InContext made;
  PLAIN(cuMemAlloc_v2)(&made.device, bytes);
  PLAIN(cuMemHostAlloc)(&made.pinned, bytes, 0);
  PLAIN(cuMemAllocAsync)(&made.pool, bytes, nullptr);
  return made;
}
void expect_dead(const char* name, const InContext& made) {
  expect_gone(name, made.device);
  expect_gone(name, number(made.pinned));
}
CUcontext own_context() {
  CUcontext context = nullptr;
  PLAIN(cuCtxCreate_v2)(&context, 0, 1);
  return context;
}
template <class Destroy>
void destroys(const char* name, Destroy destroy) {
  const CUcontext context = own_context();
  const InContext made = fill();
  if (CALL("destroy", destroy(context)) == 0) expect_dead(name, made);
  expect_live(name, made.pool, bytes, "pool");
  CUcontext top = nullptr;
  PLAIN(cuCtxGetCurrent)(&top);
  if (top == context) PLAIN(cuCtxPopCurrent_v2)(&top);
  PLAIN(cudaSetDevice)(0);
}
template <class Create>
void creates(const char* name, Create create) {
  CUcontext context = nullptr;
  if (CALL("create", create(&context)) != 0) return;
  const InContext made = fill();
  PLAIN(cuCtxDestroy_v2)(context);
  expect_dead(name, made);
  expect_live(name, made.pool, bytes, "pool");
  PLAIN(cudaSetDevice)(0);
}
CASE(cuCtxCreate, { creates(name, [](CUcontext* c) { return DOOR(cuCtxCreate)(c, 0, 1); }); })
CASE(cuCtxCreate_v2, { creates(name, [](CUcontext* c) { return DOOR(cuCtxCreate_v2)(c, 0, 1); }); })
CASE(cuCtxCreate_v3, { creates(name, [](CUcontext* c) { return DOOR(cuCtxCreate_v3)(c, nullptr, 0, 0, 1); }); })
CASE(cuCtxCreate_v4, { creates(name, [](CUcontext* c) { return DOOR(cuCtxCreate_v4)(c, nullptr, 0, 1); }); })
CASE(cuCtxDestroy, { destroys(name, DOOR(cuCtxDestroy)); })
CASE(cuCtxDestroy_v2, { destroys(name, DOOR(cuCtxDestroy_v2)); })
CASE(cuCtxDetach, { destroys(name, DOOR(cuCtxDetach)); })
CASE(cuCtxAttach, {
  // Attached once more: the first detach frees nothing.
  const CUcontext context = own_context();
  CUcontext same = nullptr;
  CALL("attach", DOOR(cuCtxAttach)(&same, 0));
  const InContext made = fill();
  PLAIN(cuCtxDetach)(context);
  PLAIN(cuCtxDetach)(context);
  expect_dead(name, made);
  expect_live(name, made.pool, bytes, "pool");
  PLAIN(cudaSetDevice)(0);
})

/// Everything in device 1's primary context dies, nothing on device 0 and nothing in pools.
template <class Reset>
void resets(const char* name, Reset reset) {
  void* other = nullptr;
  PLAIN(cudaSetDevice)(0);
  PLAIN(cudaMalloc)(&other, bytes);
  PLAIN(cudaSetDevice)(1);
  PLAIN(cudaFree)(nullptr);
  const InContext made = fill();
  if (CALL("reset", reset()) == 0) expect_dead(name, made);
  expect_live(name, made.pool, bytes, "pool");
  PLAIN(cudaSetDevice)(0);
  expect_live(name, number(other), bytes, "device");
}
CASE(cudaDeviceReset, { resets(name, DOOR(cudaDeviceReset)); })
CASE(cudaThreadExit, {
  if (g_way.runtime < 13) resets(name, DOOR(cudaThreadExit));
})
CASE(cuDevicePrimaryCtxReset, { resets(name, [] { return DOOR(cuDevicePrimaryCtxReset)(1); }); })
CASE(cuDevicePrimaryCtxReset_v2, { resets(name, [] { return DOOR(cuDevicePrimaryCtxReset_v2)(1); }); })
// Retained and released once: alive. Released by the last user: dead.
template <class Release>
void releases(const char* name, Release release) {
  CUcontext context = nullptr;
  PLAIN(cuDevicePrimaryCtxReset_v2)(1);
  PLAIN(cuDevicePrimaryCtxRetain)(&context, 1);
  PLAIN(cuDevicePrimaryCtxRetain)(&context, 1);
  PLAIN(cuCtxPushCurrent_v2)(context);
  const InContext made = fill();
  PLAIN(cuCtxPopCurrent_v2)(&context);
  CALL("not last", release(1));
  CUdeviceptr base = 0;
  std::size_t size = 0;
  CALL("alive", PLAIN(cuMemGetAddressRange_v2)(&base, &size, made.device));
  CALL("last", release(1));
  expect_dead(name, made);
  expect_live(name, made.pool, bytes, "pool");
  PLAIN(cudaSetDevice)(0);
}
CASE(cuDevicePrimaryCtxRetain, {
  CUcontext context = nullptr;
  CALL("retain", DOOR(cuDevicePrimaryCtxRetain)(&context, 1));
  PLAIN(cuCtxPushCurrent_v2)(context);
  const InContext made = fill();
  PLAIN(cuCtxPopCurrent_v2)(&context);
  PLAIN(cuDevicePrimaryCtxReset_v2)(1);
  PLAIN(cuDevicePrimaryCtxRelease_v2)(1);
  expect_dead(name, made);
  expect_live(name, made.pool, bytes, "pool");
  PLAIN(cudaSetDevice)(0);
})
CASE(cuDevicePrimaryCtxRelease, { releases(name, DOOR(cuDevicePrimaryCtxRelease)); })
CASE(cuDevicePrimaryCtxRelease_v2, { releases(name, DOOR(cuDevicePrimaryCtxRelease_v2)); })
CASE(cuGreenCtxDestroy, { CALL("null", DOOR(cuGreenCtxDestroy)(nullptr)); })

// ---- memory of others
// ------------------------------------------------------------------------------------------------ The simulated GPU
// has none of these; imports_double.cpp stands in for them where the test preloads it. Opened twice: the second close
// ends it.
template <class Open, class Close>
void opens(const char* name, const char* kind, Open open, Close close) {
  decltype(open()) kept{}, dropped{};
  if ((kept = open()) == decltype(kept){} || close == nullptr) return;
  expect_live(name, number(kept), 1 << 20, kind);
  dropped = open();
  CALL("close", close(dropped));
  expect_gone(name, number(dropped));
}
template <class F>
CUdeviceptr driver_ipc(const char* name, F door) {
  CUdeviceptr p = 0;
  CUipcMemHandle handle{};
  return CALL("open", door(&p, handle, 1u)) == 0 ? p : 0;
}
CASE(cudaIpcOpenMemHandle, {
  opens(
      name, "ipc",
      [=] {
        void* p = nullptr;
        return CALL("open", DOOR(cudaIpcOpenMemHandle)(&p, cudaIpcMemHandle_t{}, 1)) == 0 ? p : nullptr;
      },
      DOOR(cudaIpcCloseMemHandle));
})
CASE(cudaIpcCloseMemHandle, { CALL("null", DOOR(cudaIpcCloseMemHandle)(nullptr)); })
CASE(cuIpcOpenMemHandle, {
  opens(
      name, "ipc", [=] { return driver_ipc(name, DOOR(cuIpcOpenMemHandle)); }, DOOR(cuIpcCloseMemHandle));
})
CASE(cuIpcOpenMemHandle_v2, {
  opens(
      name, "ipc", [=] { return driver_ipc(name, DOOR(cuIpcOpenMemHandle_v2)); }, DOOR(cuIpcCloseMemHandle));
})
CASE(cuIpcCloseMemHandle, { CALL("null", DOOR(cuIpcCloseMemHandle)(0)); })
CASE(cudaMemPoolImportPointer, {
  opens(
      name, "ipc",
      [=] {
        void* p = nullptr;
        cudaMemPoolPtrExportData data{};
        return CALL("import", DOOR(cudaMemPoolImportPointer)(&p, nullptr, &data)) == 0 ? p : nullptr;
      },
      find("cudaMemPoolImportPointer") ? DOOR(cudaFree) : nullptr);
})
CASE(cuMemPoolImportPointer, {
  opens(
      name, "ipc",
      [=] {
        CUdeviceptr p = 0;
        CUmemPoolPtrExportData data{};
        return CALL("import", DOOR(cuMemPoolImportPointer)(&p, nullptr, &data)) == 0 ? p : 0;
      },
      DOOR(cuMemFree_v2));
})
CASE(cudaExternalMemoryGetMappedBuffer, {
  opens(
      name, "external",
      [=] {
        void* p = nullptr;
        cudaExternalMemoryBufferDesc desc{};
        desc.size = 1 << 20;
        return CALL("map", DOOR(cudaExternalMemoryGetMappedBuffer)(&p, nullptr, &desc)) == 0 ? p : nullptr;
      },
      DOOR(cudaFree));
})
CASE(cuExternalMemoryGetMappedBuffer, {
  opens(
      name, "external",
      [=] {
        CUdeviceptr p = 0;
        CUDA_EXTERNAL_MEMORY_BUFFER_DESC desc{};
        desc.size = 1 << 20;
        return CALL("map", DOOR(cuExternalMemoryGetMappedBuffer)(&p, nullptr, &desc)) == 0 ? p : 0;
      },
      DOOR(cuMemFree_v2));
})
// A mipmapped array in imported memory is no memory of ours, and its free is no unknown free.
CASE(cudaExternalMemoryGetMappedMipmappedArray, {
  cudaMipmappedArray_t a = nullptr;
  cudaExternalMemoryMipmappedArrayDesc desc{};
  if (CALL("map", DOOR(cudaExternalMemoryGetMappedMipmappedArray)(&a, nullptr, &desc)) == 0)
    CALL("free", DOOR(cudaFreeMipmappedArray)(a));
})
CASE(cuExternalMemoryGetMappedMipmappedArray, {
  CUmipmappedArray a = nullptr;
  CUDA_EXTERNAL_MEMORY_MIPMAPPED_ARRAY_DESC desc{};
  if (CALL("map", DOOR(cuExternalMemoryGetMappedMipmappedArray)(&a, nullptr, &desc)) == 0)
    CALL("free", DOOR(cuMipmappedArrayDestroy)(a));
})

// ---- entry points
// ----------------------------------------------------------------------------------------------------
/// A pointer handed out by the function under test, used.
void use(const char* name, void* found) {
  if (found == nullptr) return;
  CUdeviceptr p = 0;
  if (CALL("use", reinterpret_cast<decltype(&::cuMemAlloc_v2)>(found)(&p, bytes)) == 0)
    expect_live(name, p, bytes, "device");
}
CASE(cuGetProcAddress, {
  void* found = nullptr;
  if (CALL("get", DOOR(cuGetProcAddress)("cuMemAlloc", &found, 3020, 0)) == 0) use(name, found);
  CALL("unknown", DOOR(cuGetProcAddress)("cuNoSuchFunction", &found, 12000, 0));
  CALL("null", DOOR(cuGetProcAddress)("cuMemAlloc", nullptr, 3020, 0));
})
CASE(cuGetProcAddress_v2, {
  void* found = nullptr;
  CUdriverProcAddressQueryResult status{};
  if (CALL("get", DOOR(cuGetProcAddress_v2)("cuMemAlloc", &found, 3020, 0, &status)) == 0) use(name, found);
  CALL("status", status);
  CALL("unknown", DOOR(cuGetProcAddress_v2)("cuNoSuchFunction", &found, 12000, 0, &status));
  CALL("status", status);
  CALL("too old", DOOR(cuGetProcAddress_v2)("cuMemAllocAsync", &found, 10000, 0, &status));
  CALL("status", status);
  CALL("null status", DOOR(cuGetProcAddress_v2)("cuMemAlloc", &found, 3020, 0, nullptr));
})
using GetEntry = cudaError_t(const char*, void**, unsigned long long, cudaDriverEntryPointQueryResult*);
using GetEntryByVersion = cudaError_t(const char*, void**, unsigned, unsigned long long,
                                      cudaDriverEntryPointQueryResult*);
void entry(const char* name) {
  auto* door = way_to<GetEntry>(name);
  void* found = nullptr;
  cudaDriverEntryPointQueryResult status{};
  if (CALL("get", door("cuMemAlloc", &found, cudaEnableDefault, &status)) == 0) use(name, found);
  CALL("status", status);
  found = nullptr;
  CALL("unknown", door("cuNoSuchFunction", &found, cudaEnableDefault, &status));
  CALL("status", status);
  PLAIN(cudaGetLastError)();
}
void entry_by_version(const char* name) {
  auto* door = way_to<GetEntryByVersion>(name);
  void* found = nullptr;
  cudaDriverEntryPointQueryResult status{};
  if (CALL("get", door("cuMemAlloc", &found, 12000, cudaEnableDefault, &status)) == 0) use(name, found);
  CALL("status", status);
  PLAIN(cudaGetLastError)();
}
CASE(cudaGetDriverEntryPoint, { entry(name); })
CASE(cudaGetDriverEntryPoint_ptsz, { entry(name); })
CASE(cudaGetDriverEntryPointByVersion, { entry_by_version(name); })
CASE(cudaGetDriverEntryPointByVersion_ptsz, { entry_by_version(name); })

}  // namespace

}  // namespace doors
