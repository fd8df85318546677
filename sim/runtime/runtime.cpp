#include "sim/runtime/runtime.hpp"

#include <dlfcn.h>

#include <atomic>
#include <mutex>

using namespace vramtrack::sim;

namespace {

thread_local cudaError_t t_last_error = cudaSuccess;
thread_local int t_device = 0;

constexpr int most_devices = 64;
std::mutex g_retain_lock;
CUcontext g_primaries[most_devices];

/// Stands for a function that the driver does not have. Its arguments do not matter.
CUresult missing_from_driver() { return CUDA_ERROR_NOT_SUPPORTED; }

const DriverApi* look_up_driver() {
  static DriverApi api{};
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) return nullptr;
  const auto look_up = reinterpret_cast<PFN_cuGetProcAddress_v12000>(dlsym(library, "cuGetProcAddress_v2"));
  if (look_up == nullptr) return nullptr;
  void* const missing = reinterpret_cast<void*>(missing_from_driver);
  CUdriverProcAddressQueryResult status;
#define DRIVER(name, version)                                                                         \
  look_up(#name, reinterpret_cast<void**>(&api.name), version, CU_GET_PROC_ADDRESS_DEFAULT, &status); \
  if (api.name == nullptr) api.name = reinterpret_cast<decltype(api.name)>(missing);
// Not by way of DRIVER: cuda.h's macros would rename the argument to its _v2 name, which the look-up does not know.
#define DRIVER_OF_TYPE(name, version, type)                                                           \
  look_up(#name, reinterpret_cast<void**>(&api.name), version, CU_GET_PROC_ADDRESS_DEFAULT, &status); \
  if (api.name == nullptr) api.name = reinterpret_cast<decltype(api.name)>(missing);
#include "sim/runtime/driver_api.def"
#undef DRIVER_OF_TYPE
#undef DRIVER
  api.module_memory = reinterpret_cast<decltype(api.module_memory)>(dlsym(library, "vramtrack_sim_module_memory"));
  return &api;
}

/// The primary context of a device, retained once for the whole process.
CUresult primary_context(const DriverApi& api, int device, CUcontext& out) {
  if (device < 0 || device >= most_devices) return CUDA_ERROR_INVALID_DEVICE;
  const std::lock_guard lock(g_retain_lock);
  if (g_primaries[device] == nullptr) {
    const CUresult status = api.cuDevicePrimaryCtxRetain(&g_primaries[device], device);
    if (status != CUDA_SUCCESS) {
      g_primaries[device] = nullptr;
      return status;
    }
  }
  out = g_primaries[device];
  return CUDA_SUCCESS;
}

CUresult make_current(const DriverApi& api, int device) {
  CUcontext context = nullptr;
  const CUresult status = primary_context(api, device, context);
  return status == CUDA_SUCCESS ? api.cuCtxSetCurrent(context) : status;
}

}  // namespace

namespace vramtrack::sim {

const DriverApi* load_driver() {
  static const DriverApi* const api = look_up_driver();
  return api;
}

cudaError_t fail(cudaError_t error) {
  if (error != cudaSuccess) t_last_error = error;
  return error;
}
cudaError_t done(CUresult result) { return fail(static_cast<cudaError_t>(result)); }  // the numbers agree
cudaError_t take_last_error() {
  const cudaError_t error = t_last_error;
  t_last_error = cudaSuccess;
  return error;
}
cudaError_t peek_last_error() { return t_last_error; }

Call::Call(Needs needs) : m_api(load_driver()) {
  if (m_api == nullptr) {
    m_error = cudaErrorInsufficientDriver;
    return;
  }
  static const CUresult initialized = m_api->cuInit(0);
  if (initialized != CUDA_SUCCESS) {
    m_error = static_cast<cudaError_t>(initialized);
    return;
  }
  if (needs == driver) return;
  CUcontext current = nullptr;
  CUresult status = m_api->cuCtxGetCurrent(&current);
  if (status == CUDA_SUCCESS && current == nullptr) status = make_current(*m_api, t_device);
  m_error = static_cast<cudaError_t>(status);
}

int current_device(const DriverApi& api) {
  CUcontext current = nullptr;
  CUdevice device = 0;
  if (api.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current != nullptr &&
      api.cuCtxGetDevice(&device) == CUDA_SUCCESS) {
    return device;
  }
  return t_device;
}

}  // namespace vramtrack::sim

extern "C" {

cudaError_t cudaGetLastError(void) { return take_last_error(); }
cudaError_t cudaPeekAtLastError(void) { return peek_last_error(); }

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (version == nullptr) return fail(cudaErrorInvalidValue);
  *version = SIM_CUDART_MAJOR == 12 ? 12090 : 13000;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  if (version == nullptr) return fail(cudaErrorInvalidValue);
  const DriverApi* api = load_driver();
  if (api != nullptr) return done(api->cuDriverGetVersion(version));
  *version = 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuDeviceGetCount(count));
}

cudaError_t cudaGetDevice(int* device) {
  const Call call(Call::driver);
  if (!call) return call.error();
  if (device == nullptr) return fail(cudaErrorInvalidValue);
  *device = current_device(*call.operator->());
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  const Call call(Call::driver);
  if (!call) return call.error();
  const CUresult status = make_current(*call.operator->(), device);
  if (status == CUDA_SUCCESS) t_device = device;
  return done(status);
}
cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  const Call call(Call::driver);
  if (!call) return call.error();
  CUcontext context = nullptr;
  return done(primary_context(*call.operator->(), device, context));
}

cudaError_t cudaDeviceReset(void) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuDevicePrimaryCtxReset(current_device(*call.operator->())));
}
#if SIM_CUDART_MAJOR == 12
cudaError_t cudaThreadExit(void) { return cudaDeviceReset(); }
#endif

cudaError_t cudaDeviceSynchronize(void) {
  const Call call;
  return call ? done(call->cuCtxSynchronize()) : call.error();
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define ERROR(name, text) \
  case name:              \
    return #name;
#include "sim/runtime/errors.def"
#undef ERROR
    default:
      return "unrecognized error code";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
#define ERROR(name, text) \
  case name:              \
    return text;
#include "sim/runtime/errors.def"
#undef ERROR
    default:
      return "unrecognized error code";
  }
}

cudaError_t cudaProfilerStart(void) { return Call().error(); }
cudaError_t cudaProfilerStop(void) { return Call().error(); }

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** out, unsigned version, unsigned long long flags,
                                             cudaDriverEntryPointQueryResult* result) {
  const Call call(Call::driver);
  if (!call) return call.error();
  if (name == nullptr || out == nullptr) return fail(cudaErrorInvalidValue);
  CUdriverProcAddressQueryResult status;
  const CUresult found = call->cuGetProcAddress(name, out, static_cast<int>(version), flags, &status);
  if (found != CUDA_SUCCESS && found != CUDA_ERROR_NOT_FOUND) return done(found);
  if (result != nullptr) *result = static_cast<cudaDriverEntryPointQueryResult>(status);
  return result == nullptr && found != CUDA_SUCCESS ? fail(cudaErrorSymbolNotFound) : cudaSuccess;
}
cudaError_t cudaGetDriverEntryPoint(const char* name, void** out, unsigned long long flags,
                                    cudaDriverEntryPointQueryResult* result) {
  return cudaGetDriverEntryPointByVersion(name, out, SIM_CUDART_MAJOR == 12 ? 12090 : 13000, flags, result);
}
}
