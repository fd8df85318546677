// Arrays, IPC of memory, external memory: each function is one driver call.
#include <cstring>

#include "sim/runtime/runtime.hpp"

using namespace vramtrack::sim;

namespace {

/// The driver's name for a channel description; false for those that it cannot express.
bool array_format(const cudaChannelFormatDesc& channels, CUarray_format& format, unsigned& count) {
  const int bits[] = {channels.x, channels.y, channels.z, channels.w};
  count = 0;
  for (const int one : bits) count += one != 0 ? 1u : 0u;
  if (count == 3 || count == 0) return false;
  for (unsigned i = 1; i < count; ++i) {
    if (bits[i] != bits[0]) return false;
  }
  const auto choose = [&](CUarray_format by8, CUarray_format by16, CUarray_format by32) {
    format = bits[0] == 8 ? by8 : bits[0] == 16 ? by16 : by32;
    return bits[0] == 8 || bits[0] == 16 || bits[0] == 32;
  };
  switch (channels.f) {
    case cudaChannelFormatKindUnsigned:
      return choose(CU_AD_FORMAT_UNSIGNED_INT8, CU_AD_FORMAT_UNSIGNED_INT16, CU_AD_FORMAT_UNSIGNED_INT32);
    case cudaChannelFormatKindSigned:
      return choose(CU_AD_FORMAT_SIGNED_INT8, CU_AD_FORMAT_SIGNED_INT16, CU_AD_FORMAT_SIGNED_INT32);
    case cudaChannelFormatKindFloat:
      return bits[0] != 8 && choose(CU_AD_FORMAT_HALF, CU_AD_FORMAT_HALF, CU_AD_FORMAT_FLOAT);
    default:
      return false;
  }
}

cudaError_t describe(const cudaChannelFormatDesc* channels, cudaExtent extent, unsigned flags,
                     CUDA_ARRAY3D_DESCRIPTOR& out) {
  if (channels == nullptr) return fail(cudaErrorInvalidValue);
  out = CUDA_ARRAY3D_DESCRIPTOR{};
  if (!array_format(*channels, out.Format, out.NumChannels)) return NOT_SIMULATED("an array of this channel format");
  out.Width = extent.width;
  out.Height = extent.height;
  out.Depth = extent.depth;
  out.Flags = flags;  // both APIs use the same bits
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc3DArray(cudaArray_t* out, const cudaChannelFormatDesc* channels, cudaExtent extent,
                              unsigned flags) {
  const Call call;
  if (!call) return call.error();
  CUDA_ARRAY3D_DESCRIPTOR description;
  const cudaError_t error = describe(channels, extent, flags, description);
  return error != cudaSuccess ? error : done(call->cuArray3DCreate(reinterpret_cast<CUarray*>(out), &description));
}
cudaError_t cudaMallocArray(cudaArray_t* out, const cudaChannelFormatDesc* channels, size_t width, size_t height,
                            unsigned flags) {
  return cudaMalloc3DArray(out, channels, cudaExtent{width, height, 0}, flags);
}
cudaError_t cudaFreeArray(cudaArray_t array) {
  const Call call;
  if (!call) return call.error();
  return array == nullptr ? cudaSuccess : done(call->cuArrayDestroy(reinterpret_cast<CUarray>(array)));
}
cudaError_t cudaMallocMipmappedArray(cudaMipmappedArray_t* out, const cudaChannelFormatDesc* channels,
                                     cudaExtent extent, unsigned levels, unsigned flags) {
  const Call call;
  if (!call) return call.error();
  CUDA_ARRAY3D_DESCRIPTOR description;
  const cudaError_t error = describe(channels, extent, flags, description);
  if (error != cudaSuccess) return error;
  return done(call->cuMipmappedArrayCreate(reinterpret_cast<CUmipmappedArray*>(out), &description, levels));
}
cudaError_t cudaFreeMipmappedArray(cudaMipmappedArray_t array) {
  const Call call;
  if (!call) return call.error();
  return array == nullptr ? cudaSuccess
                          : done(call->cuMipmappedArrayDestroy(reinterpret_cast<CUmipmappedArray>(array)));
}
cudaError_t cudaGetMipmappedArrayLevel(cudaArray_t* out, cudaMipmappedArray_const_t array, unsigned level) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuMipmappedArrayGetLevel(reinterpret_cast<CUarray*>(out),
                                             reinterpret_cast<CUmipmappedArray>(const_cast<cudaMipmappedArray*>(array)),
                                             level));
}
cudaError_t cudaArrayGetInfo(cudaChannelFormatDesc* channels, cudaExtent* extent, unsigned* flags, cudaArray_t array) {
  const Call call;
  if (!call) return call.error();
  CUDA_ARRAY3D_DESCRIPTOR d;
  const CUresult status = call->cuArray3DGetDescriptor(&d, reinterpret_cast<CUarray>(array));
  if (status != CUDA_SUCCESS) return done(status);
  if (extent != nullptr) *extent = cudaExtent{d.Width, d.Height, d.Depth};
  if (flags != nullptr) *flags = d.Flags;
  if (channels != nullptr) {
    const bool wide = d.Format == CU_AD_FORMAT_UNSIGNED_INT32 || d.Format == CU_AD_FORMAT_SIGNED_INT32 ||
                      d.Format == CU_AD_FORMAT_FLOAT;
    const bool narrow = d.Format == CU_AD_FORMAT_UNSIGNED_INT8 || d.Format == CU_AD_FORMAT_SIGNED_INT8;
    const int bits = wide ? 32 : narrow ? 8 : 16;
    const auto channel = [&](unsigned i) { return i < d.NumChannels ? bits : 0; };
    const bool is_float = d.Format == CU_AD_FORMAT_FLOAT || d.Format == CU_AD_FORMAT_HALF;
    const bool is_signed = d.Format >= CU_AD_FORMAT_SIGNED_INT8 && d.Format <= CU_AD_FORMAT_SIGNED_INT32;
    *channels = cudaChannelFormatDesc{channel(0), channel(1), channel(2), channel(3),
                                      is_float    ? cudaChannelFormatKindFloat
                                      : is_signed ? cudaChannelFormatKindSigned
                                                  : cudaChannelFormatKindUnsigned};
  }
  return cudaSuccess;
}
cudaError_t cudaArrayGetMemoryRequirements(cudaArrayMemoryRequirements* out, cudaArray_t array, int device) {
  static_assert(sizeof(cudaArrayMemoryRequirements) == sizeof(CUDA_ARRAY_MEMORY_REQUIREMENTS));
  const Call call;
  if (!call) return call.error();
  return done(call->cuArrayGetMemoryRequirements(reinterpret_cast<CUDA_ARRAY_MEMORY_REQUIREMENTS*>(out),
                                                 reinterpret_cast<CUarray>(array), device));
}
cudaError_t cudaMipmappedArrayGetMemoryRequirements(cudaArrayMemoryRequirements* out, cudaMipmappedArray_t array,
                                                    int device) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuMipmappedArrayGetMemoryRequirements(reinterpret_cast<CUDA_ARRAY_MEMORY_REQUIREMENTS*>(out),
                                                          reinterpret_cast<CUmipmappedArray>(array), device));
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* out, void* pointer) {
  static_assert(sizeof(cudaIpcMemHandle_t) == sizeof(CUipcMemHandle));
  const Call call;
  return call ? done(call->cuIpcGetMemHandle(reinterpret_cast<CUipcMemHandle*>(out), address(pointer))) : call.error();
}
cudaError_t cudaIpcOpenMemHandle(void** out, cudaIpcMemHandle_t handle, unsigned flags) {
  const Call call;
  if (!call) return call.error();
  CUipcMemHandle plain;
  std::memcpy(&plain, &handle, sizeof plain);
  return done(call->cuIpcOpenMemHandle(reinterpret_cast<CUdeviceptr*>(out), plain, flags));
}
cudaError_t cudaIpcCloseMemHandle(void* pointer) {
  const Call call;
  return call ? done(call->cuIpcCloseMemHandle(address(pointer))) : call.error();
}

cudaError_t cudaImportExternalMemory(cudaExternalMemory_t* out, const cudaExternalMemoryHandleDesc* description) {
  const Call call;
  if (!call) return call.error();
  if (description == nullptr) return fail(cudaErrorInvalidValue);
  CUDA_EXTERNAL_MEMORY_HANDLE_DESC plain{};
  plain.type = static_cast<CUexternalMemoryHandleType>(description->type);
  static_assert(sizeof plain.handle == sizeof description->handle);
  std::memcpy(&plain.handle, &description->handle, sizeof plain.handle);
  plain.size = description->size;
  plain.flags = description->flags;
  return done(call->cuImportExternalMemory(reinterpret_cast<CUexternalMemory*>(out), &plain));
}
cudaError_t cudaExternalMemoryGetMappedBuffer(void** out, cudaExternalMemory_t memory,
                                              const cudaExternalMemoryBufferDesc* description) {
  const Call call;
  if (!call) return call.error();
  if (description == nullptr) return fail(cudaErrorInvalidValue);
  CUDA_EXTERNAL_MEMORY_BUFFER_DESC plain{};
  plain.offset = description->offset;
  plain.size = description->size;
  plain.flags = description->flags;
  return done(call->cuExternalMemoryGetMappedBuffer(reinterpret_cast<CUdeviceptr*>(out),
                                                    reinterpret_cast<CUexternalMemory>(memory), &plain));
}
cudaError_t cudaDestroyExternalMemory(cudaExternalMemory_t memory) {
  const Call call;
  return call ? done(call->cuDestroyExternalMemory(reinterpret_cast<CUexternalMemory>(memory))) : call.error();
}
}
