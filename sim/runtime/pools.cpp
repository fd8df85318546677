// Stream-ordered allocation and memory pools.
#include "sim/runtime/runtime.hpp"

using namespace vramtrack::sim;

namespace {
CUmemPool_attribute plain(cudaMemPoolAttr attribute) { return static_cast<CUmemPool_attribute>(attribute); }
}  // namespace

static_assert(sizeof(cudaMemPoolProps) == sizeof(CUmemPoolProps));
static_assert(sizeof(cudaMemAccessDesc) == sizeof(CUmemAccessDesc));
static_assert(sizeof(cudaMemLocation) == sizeof(CUmemLocation));

extern "C" {

cudaError_t cudaMallocAsync(void** out, size_t bytes, cudaStream_t stream) {
  const Call call;
  return call ? done(call->cuMemAllocAsync(reinterpret_cast<CUdeviceptr*>(out), bytes, stream)) : call.error();
}
cudaError_t cudaMallocFromPoolAsync(void** out, size_t bytes, cudaMemPool_t pool, cudaStream_t stream) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuMemAllocFromPoolAsync(reinterpret_cast<CUdeviceptr*>(out), bytes, pool, stream));
}
cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  const Call call;
  if (!call) return call.error();
  return pointer == nullptr ? cudaSuccess : done(call->cuMemFreeAsync(address(pointer), stream));
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t* out, const cudaMemPoolProps* properties) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuMemPoolCreate(out, reinterpret_cast<const CUmemPoolProps*>(properties)));
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  const Call call(Call::driver);
  return call ? done(call->cuMemPoolDestroy(pool)) : call.error();
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep) {
  const Call call(Call::driver);
  return call ? done(call->cuMemPoolTrimTo(pool, keep)) : call.error();
}
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  const Call call(Call::driver);
  return call ? done(call->cuMemPoolSetAttribute(pool, plain(attribute), value)) : call.error();
}
cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void* value) {
  const Call call(Call::driver);
  return call ? done(call->cuMemPoolGetAttribute(pool, plain(attribute), value)) : call.error();
}
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const cudaMemAccessDesc* map, size_t count) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuMemPoolSetAccess(pool, reinterpret_cast<const CUmemAccessDesc*>(map), count));
}
cudaError_t cudaMemPoolGetAccess(cudaMemAccessFlags* flags, cudaMemPool_t pool, cudaMemLocation* location) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuMemPoolGetAccess(reinterpret_cast<CUmemAccess_flags*>(flags), pool,
                                       reinterpret_cast<CUmemLocation*>(location)));
}
cudaError_t cudaMemPoolExportToShareableHandle(void* out, cudaMemPool_t pool, cudaMemAllocationHandleType type,
                                               unsigned flags) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuMemPoolExportToShareableHandle(out, pool, static_cast<CUmemAllocationHandleType>(type), flags));
}
cudaError_t cudaMemPoolImportFromShareableHandle(cudaMemPool_t* out, void* handle, cudaMemAllocationHandleType type,
                                                 unsigned flags) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(
      call->cuMemPoolImportFromShareableHandle(out, handle, static_cast<CUmemAllocationHandleType>(type), flags));
}
cudaError_t cudaMemPoolExportPointer(cudaMemPoolPtrExportData* out, void* pointer) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuMemPoolExportPointer(reinterpret_cast<CUmemPoolPtrExportData*>(out), address(pointer)));
}
cudaError_t cudaMemPoolImportPointer(void** out, cudaMemPool_t pool, cudaMemPoolPtrExportData* data) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuMemPoolImportPointer(reinterpret_cast<CUdeviceptr*>(out), pool,
                                           reinterpret_cast<CUmemPoolPtrExportData*>(data)));
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* out, int device) {
  const Call call(Call::driver);
  return call ? done(call->cuDeviceGetDefaultMemPool(out, device)) : call.error();
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* out, int device) {
  const Call call(Call::driver);
  return call ? done(call->cuDeviceGetMemPool(out, device)) : call.error();
}
cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool) {
  const Call call(Call::driver);
  return call ? done(call->cuDeviceSetMemPool(device, pool)) : call.error();
}
#if SIM_CUDART_MAJOR >= 13
cudaError_t cudaMemGetDefaultMemPool(cudaMemPool_t* out, cudaMemLocation* location, cudaMemAllocationType type) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuMemGetDefaultMemPool(out, reinterpret_cast<CUmemLocation*>(location),
                                           static_cast<CUmemAllocationType>(type)));
}
cudaError_t cudaMemGetMemPool(cudaMemPool_t* out, cudaMemLocation* location, cudaMemAllocationType type) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(
      call->cuMemGetMemPool(out, reinterpret_cast<CUmemLocation*>(location), static_cast<CUmemAllocationType>(type)));
}
cudaError_t cudaMemSetMemPool(cudaMemLocation* location, cudaMemAllocationType type, cudaMemPool_t pool) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(
      call->cuMemSetMemPool(reinterpret_cast<CUmemLocation*>(location), static_cast<CUmemAllocationType>(type), pool));
}
#endif
}
