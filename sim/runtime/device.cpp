// Device properties, attributes, limits, peers.
#include <cstddef>
#include <cstring>

#include "sim/core/properties.hpp"
#include "sim/runtime/runtime.hpp"

using namespace vramtrack::sim;

#if SIM_CUDART_MAJOR == 12
#include "sim/runtime/device_prop_12.hpp"
using Properties = DeviceProp12;
#else
using Properties = cudaDeviceProp;
#endif

namespace {

/// The fields that both majors have.
template <typename P>
void fill_common(P& p) {
  const auto value = [](CUdevice_attribute attribute) { return attribute_value(attribute); };
  p.sharedMemPerBlock = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK));
  p.regsPerBlock = value(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
  p.warpSize = value(CU_DEVICE_ATTRIBUTE_WARP_SIZE);
  p.memPitch = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_MAX_PITCH));
  p.maxThreadsPerBlock = value(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  p.maxThreadsDim[0] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X);
  p.maxThreadsDim[1] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y);
  p.maxThreadsDim[2] = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z);
  p.maxGridSize[0] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X);
  p.maxGridSize[1] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y);
  p.maxGridSize[2] = value(CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z);
  p.totalConstMem = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY));
  p.major = value(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  p.minor = value(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  p.textureAlignment = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT));
  p.texturePitchAlignment = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT));
  p.multiProcessorCount = value(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  p.canMapHostMemory = 1;
  p.maxTexture1D = value(CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_WIDTH);
  p.maxTexture2D[0] = value(CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_WIDTH);
  p.maxTexture2D[1] = value(CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_HEIGHT);
  p.surfaceAlignment = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT));
  p.concurrentKernels = 1;
  p.ECCEnabled = 1;
  p.asyncEngineCount = value(CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT);
  p.unifiedAddressing = 1;
  p.memoryBusWidth = value(CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
  p.l2CacheSize = value(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
  p.persistingL2CacheMaxSize = value(CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE);
  p.maxThreadsPerMultiProcessor = value(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
  p.streamPrioritiesSupported = 1;
  p.globalL1CacheSupported = 1;
  p.localL1CacheSupported = 1;
  p.sharedMemPerMultiprocessor = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR));
  p.regsPerMultiprocessor = value(CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
  p.managedMemory = 1;
  p.concurrentManagedAccess = 1;
  p.computePreemptionSupported = 1;
  p.canUseHostPointerForRegisteredMem = 1;
  p.cooperativeLaunch = 1;
  p.sharedMemPerBlockOptin = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN));
  p.maxBlocksPerMultiProcessor = value(CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR);
  p.reservedSharedMemPerBlock = static_cast<size_t>(value(CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK));
  p.hostRegisterSupported = 1;
  p.memoryPoolsSupported = 1;
  p.memoryPoolSupportedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  p.ipcEventSupported = 1;
  p.clusterLaunch = 1;
  p.unifiedFunctionPointers = 1;
}

cudaError_t get_properties(void* out, int device) {
  const Call call(Call::driver);
  if (!call) return call.error();
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  Properties p{};
  size_t bytes = 0;
  if (const CUresult status = call->cuDeviceTotalMem(&bytes, device); status != CUDA_SUCCESS) return done(status);
  call->cuDeviceGetName(p.name, sizeof p.name, device);
  call->cuDeviceGetUuid(reinterpret_cast<CUuuid*>(&p.uuid), device);
  p.totalGlobalMem = bytes;
  fill_common(p);
  call->cuDeviceGetAttribute(&p.pciBusID, CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, device);
#if SIM_CUDART_MAJOR == 12
  p.clockRate = attribute_value(CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
  p.memoryClockRate = attribute_value(CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
  p.deviceOverlap = 1;
  p.singleToDoublePrecisionPerfRatio = 2;
#endif
  std::memcpy(out, &p, sizeof p);
  return cudaSuccess;
}

}  // namespace

extern "C" {

#if SIM_CUDART_MAJOR == 12
cudaError_t cudaGetDeviceProperties_v2(void* out, int device) { return get_properties(out, device); }

/// The layout of CUDA 11, which ends before the fields that came with 12 (uuid and luid have kept their place).
cudaError_t sim_cudaGetDeviceProperties_11(void* out, int device) asm("cudaGetDeviceProperties");
cudaError_t sim_cudaGetDeviceProperties_11(void* out, int device) {
  DeviceProp12 full;
  const cudaError_t error = get_properties(&full, device);
  if (error == cudaSuccess) std::memcpy(out, &full, offsetof(DeviceProp12, hostRegisterReadOnlySupported));
  return error;
}
#else
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* out, int device) { return get_properties(out, device); }
#endif

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuDeviceGetAttribute(value, static_cast<CUdevice_attribute>(attribute), device));
}

cudaError_t cudaChooseDevice(int* device, const cudaDeviceProp*) {
  const Call call(Call::driver);
  if (!call) return call.error();
  if (device == nullptr) return fail(cudaErrorInvalidValue);
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetValidDevices(int*, int) { return Call(Call::driver).error(); }

cudaError_t cudaDeviceGetPCIBusId(char* out, int length, int device) {
  const Call call(Call::driver);
  return call ? done(call->cuDeviceGetPCIBusId(out, length, device)) : call.error();
}
cudaError_t cudaDeviceGetByPCIBusId(int* device, const char* id) {
  const Call call(Call::driver);
  return call ? done(call->cuDeviceGetByPCIBusId(device, id)) : call.error();
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  const Call call(Call::driver);
  return call ? done(call->cuDeviceCanAccessPeer(can, device, peer)) : call.error();
}
cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) { return Call().error(); }
cudaError_t cudaDeviceDisablePeerAccess(int) { return Call().error(); }
cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr attribute, int device, int peer) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuDeviceGetP2PAttribute(value, static_cast<CUdevice_P2PAttribute>(attribute), device, peer));
}

cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit limit) {
  const Call call;
  return call ? done(call->cuCtxGetLimit(value, static_cast<CUlimit>(limit))) : call.error();
}
cudaError_t cudaDeviceSetLimit(cudaLimit limit, size_t value) {
  const Call call;
  return call ? done(call->cuCtxSetLimit(static_cast<CUlimit>(limit), value)) : call.error();
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  const Call call;
  return call ? done(call->cuCtxGetStreamPriorityRange(least, greatest)) : call.error();
}
cudaError_t cudaDeviceGetCacheConfig(cudaFuncCache* config) {
  if (config != nullptr) *config = cudaFuncCachePreferNone;
  return Call().error();
}
cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) { return Call().error(); }
cudaError_t cudaDeviceGetSharedMemConfig(cudaSharedMemConfig* config) {
  if (config != nullptr) *config = cudaSharedMemBankSizeDefault;
  return Call().error();
}
cudaError_t cudaDeviceSetSharedMemConfig(cudaSharedMemConfig) { return Call().error(); }
cudaError_t cudaCtxResetPersistingL2Cache(void) { return Call().error(); }

cudaError_t cudaSetDeviceFlags(unsigned flags) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuDevicePrimaryCtxSetFlags(current_device(*call.operator->()), flags));
}
cudaError_t cudaGetDeviceFlags(unsigned* flags) {
  const Call call(Call::driver);
  if (!call) return call.error();
  int active = 0;
  return done(call->cuDevicePrimaryCtxGetState(current_device(*call.operator->()), flags, &active));
}
}
