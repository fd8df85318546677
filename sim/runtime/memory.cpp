// Allocation, copies, fills: each is one driver call.
#include <algorithm>
#include <cstdint>

#include "sim/runtime/runtime.hpp"

using namespace vramtrack::sim;

namespace {

constexpr size_t row_alignment_element = 16;

CUresult copy_now(const Call& call, void* target, const void* source, size_t bytes, cudaMemcpyKind kind) {
  switch (kind) {
    case cudaMemcpyHostToDevice:
      return call->cuMemcpyHtoD(address(target), source, bytes);
    case cudaMemcpyDeviceToHost:
      return call->cuMemcpyDtoH(target, address(source), bytes);
    case cudaMemcpyDeviceToDevice:
      return call->cuMemcpyDtoD(address(target), address(source), bytes);
    default:
      return call->cuMemcpy(address(target), address(source), bytes);
  }
}

CUresult copy_async(const Call& call, void* target, const void* source, size_t bytes, cudaMemcpyKind kind,
                    cudaStream_t stream) {
  switch (kind) {
    case cudaMemcpyHostToDevice:
      return call->cuMemcpyHtoDAsync(address(target), source, bytes, stream);
    case cudaMemcpyDeviceToHost:
      return call->cuMemcpyDtoHAsync(target, address(source), bytes, stream);
    case cudaMemcpyDeviceToDevice:
      return call->cuMemcpyDtoDAsync(address(target), address(source), bytes, stream);
    default:
      return call->cuMemcpyAsync(address(target), address(source), bytes, stream);
  }
}

bool valid_kind(cudaMemcpyKind kind) { return kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault; }

CUDA_MEMCPY3D rectangle(void* target, size_t target_pitch, const void* source, size_t source_pitch, size_t width,
                        size_t height) {
  CUDA_MEMCPY3D box{};
  box.srcMemoryType = box.dstMemoryType = CU_MEMORYTYPE_UNIFIED;
  box.srcDevice = address(source);
  box.srcPitch = source_pitch;
  box.dstDevice = address(target);
  box.dstPitch = target_pitch;
  box.WidthInBytes = width;
  box.Height = height;
  box.Depth = 1;
  return box;
}

/// The runtime's description of a 3D copy as the driver's. For arrays, extents count elements; the driver knows them.
CUDA_MEMCPY3D box_of(const cudaMemcpy3DParms& p) {
  CUDA_MEMCPY3D box{};
  const auto side = [](cudaArray_t array, const cudaPitchedPtr& pitched, CUmemorytype& type, CUarray& out_array,
                       CUdeviceptr& out_address, size_t& pitch, size_t& height) {
    type = array != nullptr ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_UNIFIED;
    out_array = reinterpret_cast<CUarray>(array);
    out_address = address(pitched.ptr);
    pitch = pitched.pitch;
    height = pitched.ysize;
  };
  side(p.srcArray, p.srcPtr, box.srcMemoryType, box.srcArray, box.srcDevice, box.srcPitch, box.srcHeight);
  side(p.dstArray, p.dstPtr, box.dstMemoryType, box.dstArray, box.dstDevice, box.dstPitch, box.dstHeight);
  box.srcXInBytes = p.srcPos.x;
  box.srcY = p.srcPos.y;
  box.srcZ = p.srcPos.z;
  box.dstXInBytes = p.dstPos.x;
  box.dstY = p.dstPos.y;
  box.dstZ = p.dstPos.z;
  box.WidthInBytes = p.extent.width;
  box.Height = p.extent.height;
  box.Depth = p.extent.depth;
  return box;
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** out, size_t bytes) {
  const Call call;
  if (!call) return call.error();
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  if (bytes == 0) {
    *out = nullptr;
    return cudaSuccess;
  }
  return done(call->cuMemAlloc(reinterpret_cast<CUdeviceptr*>(out), bytes));
}

cudaError_t cudaMallocPitch(void** out, size_t* pitch, size_t width, size_t height) {
  const Call call;
  if (!call) return call.error();
  if (out == nullptr || pitch == nullptr) return fail(cudaErrorInvalidValue);
  if (width == 0 || height == 0) {
    *out = nullptr;
    *pitch = 0;
    return cudaSuccess;
  }
  return done(call->cuMemAllocPitch(reinterpret_cast<CUdeviceptr*>(out), pitch, width, height, row_alignment_element));
}

cudaError_t cudaMalloc3D(cudaPitchedPtr* out, cudaExtent extent) {
  const Call call;
  if (!call) return call.error();
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  *out = cudaPitchedPtr{nullptr, 0, extent.width, extent.height};
  if (extent.width == 0 || extent.height == 0 || extent.depth == 0) return cudaSuccess;
  if (extent.depth > SIZE_MAX / extent.height) return fail(cudaErrorInvalidValue);
  CUdeviceptr memory = 0;
  const CUresult status =
      call->cuMemAllocPitch(&memory, &out->pitch, extent.width, extent.height * extent.depth, row_alignment_element);
  if (status == CUDA_SUCCESS) out->ptr = reinterpret_cast<void*>(memory);
  return done(status);
}

cudaError_t cudaFree(void* pointer) {
  const Call call;
  if (!call) return call.error();
  return pointer == nullptr ? cudaSuccess : done(call->cuMemFree(address(pointer)));
}

cudaError_t cudaHostAlloc(void** out, size_t bytes, unsigned flags) {
  const Call call;
  if (!call) return call.error();
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  if (bytes == 0) {
    *out = nullptr;
    return cudaSuccess;
  }
  return done(call->cuMemHostAlloc(out, bytes, flags));
}
cudaError_t cudaMallocHost(void** out, size_t bytes) { return cudaHostAlloc(out, bytes, 0); }
cudaError_t cudaFreeHost(void* pointer) {
  const Call call;
  if (!call) return call.error();
  return pointer == nullptr ? cudaSuccess : done(call->cuMemFreeHost(pointer));
}
cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned flags) {
  const Call call;
  return call ? done(call->cuMemHostRegister(pointer, bytes, flags)) : call.error();
}
cudaError_t cudaHostUnregister(void* pointer) {
  const Call call;
  return call ? done(call->cuMemHostUnregister(pointer)) : call.error();
}
cudaError_t cudaHostGetDevicePointer(void** out, void* pointer, unsigned flags) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuMemHostGetDevicePointer(reinterpret_cast<CUdeviceptr*>(out), pointer, flags));
}
cudaError_t cudaHostGetFlags(unsigned* flags, void* pointer) {
  const Call call;
  return call ? done(call->cuMemHostGetFlags(flags, pointer)) : call.error();
}

cudaError_t cudaMallocManaged(void** out, size_t bytes, unsigned flags) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuMemAllocManaged(reinterpret_cast<CUdeviceptr*>(out), bytes, flags));
}
#if SIM_CUDART_MAJOR == 12
cudaError_t sim_cudaMemPrefetchAsync(const void* pointer, size_t bytes, int device,
                                     cudaStream_t stream) asm("cudaMemPrefetchAsync");
cudaError_t sim_cudaMemPrefetchAsync(const void* pointer, size_t bytes, int device, cudaStream_t stream) {
  const Call call;
  const CUmemLocation location{device < 0 ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE, device};
  return call ? done(call->cuMemPrefetchAsync(address(pointer), bytes, location, 0, stream)) : call.error();
}
cudaError_t sim_cudaMemAdvise(const void* pointer, size_t bytes, cudaMemoryAdvise advice,
                              int device) asm("cudaMemAdvise");
cudaError_t sim_cudaMemAdvise(const void* pointer, size_t bytes, cudaMemoryAdvise advice, int device) {
  const Call call;
  const CUmemLocation location{device < 0 ? CU_MEM_LOCATION_TYPE_HOST : CU_MEM_LOCATION_TYPE_DEVICE, device};
  return call ? done(call->cuMemAdvise(address(pointer), bytes, static_cast<CUmem_advise>(advice), location))
              : call.error();
}
#define PREFETCH cudaMemPrefetchAsync_v2
#define ADVISE cudaMemAdvise_v2
#else
#define PREFETCH cudaMemPrefetchAsync
#define ADVISE cudaMemAdvise
#endif
cudaError_t PREFETCH(const void* pointer, size_t bytes, cudaMemLocation location, unsigned flags, cudaStream_t stream) {
  const Call call;
  const CUmemLocation where{static_cast<CUmemLocationType>(location.type), location.id};
  return call ? done(call->cuMemPrefetchAsync(address(pointer), bytes, where, flags, stream)) : call.error();
}
cudaError_t ADVISE(const void* pointer, size_t bytes, cudaMemoryAdvise advice, cudaMemLocation location) {
  const Call call;
  const CUmemLocation where{static_cast<CUmemLocationType>(location.type), location.id};
  return call ? done(call->cuMemAdvise(address(pointer), bytes, static_cast<CUmem_advise>(advice), where))
              : call.error();
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const Call call;
  return call ? done(call->cuMemGetInfo(free, total)) : call.error();
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* out, const void* pointer) {
  const Call call(Call::driver);
  if (!call) return call.error();
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  unsigned type = 0;
  int managed = 0, device = 0;
  CUdeviceptr on_device = 0;
  void* on_host = nullptr;
  CUpointer_attribute asked[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE, CU_POINTER_ATTRIBUTE_IS_MANAGED,
                                 CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
                                 CU_POINTER_ATTRIBUTE_HOST_POINTER};
  void* answers[] = {&type, &managed, &device, &on_device, &on_host};
  const CUresult status = call->cuPointerGetAttributes(5, asked, answers, address(pointer));
  if (status != CUDA_SUCCESS) return done(status);
  *out = cudaPointerAttributes{};
  out->type = managed != 0                   ? cudaMemoryTypeManaged
              : type == CU_MEMORYTYPE_HOST   ? cudaMemoryTypeHost
              : type == CU_MEMORYTYPE_DEVICE ? cudaMemoryTypeDevice
                                             : cudaMemoryTypeUnregistered;
  out->device = device;
  out->devicePointer = reinterpret_cast<void*>(on_device);
  out->hostPointer = type == 0 ? const_cast<void*>(pointer) : on_host;
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* target, const void* source, size_t bytes, cudaMemcpyKind kind) {
  const Call call;
  if (!call) return call.error();
  if (!valid_kind(kind)) return fail(cudaErrorInvalidMemcpyDirection);
  return bytes == 0 ? cudaSuccess : done(copy_now(call, target, source, bytes, kind));
}
cudaError_t cudaMemcpyAsync(void* target, const void* source, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  const Call call;
  if (!call) return call.error();
  if (!valid_kind(kind)) return fail(cudaErrorInvalidMemcpyDirection);
  return bytes == 0 ? cudaSuccess : done(copy_async(call, target, source, bytes, kind, stream));
}
cudaError_t cudaMemcpyPeer(void* target, int, const void* source, int, size_t bytes) {
  const Call call;
  return call ? done(call->cuMemcpyDtoD(address(target), address(source), bytes)) : call.error();
}
cudaError_t cudaMemcpyPeerAsync(void* target, int, const void* source, int, size_t bytes, cudaStream_t stream) {
  const Call call;
  return call ? done(call->cuMemcpyDtoDAsync(address(target), address(source), bytes, stream)) : call.error();
}
cudaError_t cudaMemcpy2D(void* target, size_t target_pitch, const void* source, size_t source_pitch, size_t width,
                         size_t height, cudaMemcpyKind) {
  const Call call;
  if (!call) return call.error();
  const CUDA_MEMCPY3D box = rectangle(target, target_pitch, source, source_pitch, width, height);
  return done(call->cuMemcpy3D(&box));
}
cudaError_t cudaMemcpy2DAsync(void* target, size_t target_pitch, const void* source, size_t source_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t stream) {
  const Call call;
  if (!call) return call.error();
  const CUDA_MEMCPY3D box = rectangle(target, target_pitch, source, source_pitch, width, height);
  return done(call->cuMemcpy3DAsync(&box, stream));
}
cudaError_t cudaMemcpy3D(const cudaMemcpy3DParms* p) {
  const Call call;
  if (!call) return call.error();
  if (p == nullptr) return fail(cudaErrorInvalidValue);
  const CUDA_MEMCPY3D box = box_of(*p);
  return done(call->cuMemcpy3D(&box));
}
cudaError_t cudaMemcpy3DAsync(const cudaMemcpy3DParms* p, cudaStream_t stream) {
  const Call call;
  if (!call) return call.error();
  if (p == nullptr) return fail(cudaErrorInvalidValue);
  const CUDA_MEMCPY3D box = box_of(*p);
  return done(call->cuMemcpy3DAsync(&box, stream));
}

cudaError_t cudaMemset(void* target, int value, size_t bytes) {
  const Call call;
  return call ? done(call->cuMemsetD8(address(target), static_cast<unsigned char>(value), bytes)) : call.error();
}
cudaError_t cudaMemsetAsync(void* target, int value, size_t bytes, cudaStream_t stream) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuMemsetD8Async(address(target), static_cast<unsigned char>(value), bytes, stream));
}
cudaError_t cudaMemset2D(void* target, size_t pitch, int value, size_t width, size_t height) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuMemsetD2D8(address(target), pitch, static_cast<unsigned char>(value), width, height));
}
cudaError_t cudaMemset2DAsync(void* target, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream) {
  const Call call;
  if (!call) return call.error();
  return done(
      call->cuMemsetD2D8Async(address(target), pitch, static_cast<unsigned char>(value), width, height, stream));
}
}
