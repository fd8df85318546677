// What nvcc's generated code calls: registration of kernels and variables, and launches. A kernel is known by its host
// address only; launching it does nothing but join a capture.
#include <dlfcn.h>

#include <map>
#include <mutex>
#include <string>

#include "contract/sim_settings.hpp"
#include "sim/core/properties.hpp"
#include "sim/runtime/runtime.hpp"

using namespace vramtrack::sim;

namespace {

struct Variable {
  size_t bytes = 0;
  bool managed = false;
  CUdeviceptr memory = 0;  // allocated on first use
};

struct Registry {
  std::mutex lock;
  std::map<const void*, std::string> functions;
  std::map<const void*, Variable> variables;
  CUlibrary library = nullptr;
  std::map<const void*, CUkernel> kernels;
};
Registry& registry() {
  static Registry& all = *new Registry;
  return all;
}

struct LaunchShape {
  dim3 grid, block;
  size_t shared = 0;
  cudaStream_t stream = nullptr;
};
constexpr int launch_depth = 16;
thread_local struct {
  LaunchShape shapes[launch_depth];
  int depth = 0;
} t_launches;

/// The driver's object for a kernel; made up on first use. Nothing is loaded on the device.
CUresult kernel_of(const Call& call, const void* function, CUkernel& out) {
  Registry& all = registry();
  const std::lock_guard lock(all.lock);
  CUkernel& kernel = all.kernels[function];
  if (kernel == nullptr) {
    if (all.library == nullptr) {
      const CUresult status = call->cuLibraryLoadData(&all.library, "", nullptr, nullptr, 0, nullptr, nullptr, 0);
      if (status != CUDA_SUCCESS) return status;
    }
    const auto known = all.functions.find(function);
    const std::string name = known != all.functions.end() ? known->second : "kernel";
    const CUresult status = call->cuLibraryGetKernel(&kernel, all.library, name.c_str());
    if (status != CUDA_SUCCESS) return status;
  }
  out = kernel;
  return CUDA_SUCCESS;
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, size_t shared, cudaStream_t stream, void** arguments) {
  const Call call;
  if (!call) return call.error();
  if (function == nullptr) return fail(cudaErrorInvalidDeviceFunction);
  const auto threads = static_cast<unsigned long long>(block.x) * block.y * block.z;
  if (threads == 0 || threads > 1024 || grid.x == 0 || grid.y == 0 || grid.z == 0) {
    return fail(cudaErrorInvalidConfiguration);
  }
  CUkernel kernel = nullptr;
  if (const CUresult status = kernel_of(call, function, kernel); status != CUDA_SUCCESS) return done(status);
  return done(call->cuLaunchKernel(reinterpret_cast<CUfunction>(kernel), grid.x, grid.y, grid.z, block.x, block.y,
                                   block.z, static_cast<unsigned>(shared), stream, arguments, nullptr));
}

cudaError_t variable_memory(const Call& call, const void* symbol, CUdeviceptr& memory, size_t& bytes) {
  Registry& all = registry();
  const std::lock_guard lock(all.lock);
  const auto found = all.variables.find(symbol);
  if (found == all.variables.end()) return fail(cudaErrorInvalidSymbol);
  Variable& variable = found->second;
  if (variable.memory == 0) {
    if (call->module_memory == nullptr) return NOT_SIMULATED("variables of a module without the simulated driver");
    const CUresult status = call->module_memory(variable.bytes == 0 ? 1 : variable.bytes, &variable.memory);
    if (status != CUDA_SUCCESS) return done(status);
  }
  memory = variable.memory;
  bytes = variable.bytes;
  return cudaSuccess;
}

cudaError_t copy_symbol(const void* symbol, size_t offset, void* host, size_t bytes, bool to_symbol) {
  const Call call;
  if (!call) return call.error();
  CUdeviceptr memory = 0;
  size_t size = 0;
  const cudaError_t error = variable_memory(call, symbol, memory, size);
  if (error != cudaSuccess) return error;
  if (offset > size || bytes > size - offset) return fail(cudaErrorInvalidValue);
  const CUdeviceptr at = memory + offset;
  return done(to_symbol ? call->cuMemcpy(at, address(host), bytes) : call->cuMemcpy(address(host), at, bytes));
}

/// PyTorch registers its kernels long before it asks who the other ranks are.
void play_rank() {
  if (!one_of_many()) return;
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW);
  const auto play =
      reinterpret_cast<void (*)()>(driver == nullptr ? nullptr : dlsym(driver, "vramtrack_sim_play_rank"));
  if (play != nullptr) play();
}
std::once_flag g_rank;

char g_fat_binary;  // registration handles are never looked into

}  // namespace

extern "C" {

void** __cudaRegisterFatBinary(void*) {
  std::call_once(g_rank, play_rank);
  return reinterpret_cast<void**>(&g_fat_binary);
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }
void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*,
                            int*) {
  Registry& all = registry();
  const std::lock_guard lock(all.lock);
  all.functions[host] = name != nullptr ? name : "";
}
void __cudaRegisterVar(void**, char* host, char*, const char*, int, size_t bytes, int, int) {
  Registry& all = registry();
  const std::lock_guard lock(all.lock);
  all.variables[host].bytes = bytes;
}
void __cudaRegisterHostVar(void**, const char*, char*, size_t) {}
void __cudaRegisterManagedVar(void**, void** host, char*, const char*, int, size_t bytes, int, int) {
  Registry& all = registry();
  const std::lock_guard lock(all.lock);
  all.variables[host] = Variable{bytes, true, 0};
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  if (t_launches.depth == launch_depth) return 1;
  t_launches.shapes[t_launches.depth++] = LaunchShape{grid, block, shared, stream};
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (t_launches.depth == 0) return fail(cudaErrorInvalidConfiguration);
  const LaunchShape& shape = t_launches.shapes[--t_launches.depth];
  *grid = shape.grid;
  *block = shape.block;
  *shared = shape.shared;
  *static_cast<cudaStream_t*>(stream) = shape.stream;
  return cudaSuccess;
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                             cudaStream_t stream) {
  return launch(function, grid, block, shared, stream, arguments);
}
cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                                        cudaStream_t stream) {
  return launch(function, grid, block, shared, stream, arguments);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  if (config == nullptr) return fail(cudaErrorInvalidValue);
  return launch(function, config->gridDim, config->blockDim, config->dynamicSmemBytes, config->stream, arguments);
}

/// Newer nvcc resolves a kernel first, and launches what it got.
cudaError_t __cudaGetKernel(cudaKernel_t* out, const void* function) {
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  *out = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared,
                               cudaStream_t stream) {
  return launch(reinterpret_cast<const void*>(kernel), grid, block, shared, stream, arguments);
}
cudaError_t cudaGetKernel(cudaKernel_t* out, const void* function) { return __cudaGetKernel(out, function); }
cudaError_t cudaGetFuncBySymbol(cudaFunction_t* out, const void* function) {
  const Call call;
  if (!call) return call.error();
  CUkernel kernel = nullptr;
  const CUresult status = kernel_of(call, function, kernel);
  if (status == CUDA_SUCCESS) *out = reinterpret_cast<cudaFunction_t>(kernel);
  return done(status);
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* out, const void* function) {
  const Call call;
  if (!call) return call.error();
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  if (function == nullptr) return fail(cudaErrorInvalidDeviceFunction);
  *out = cudaFuncAttributes{};
  out->maxThreadsPerBlock = 1024;
  out->numRegs = 32;
  out->ptxVersion = out->binaryVersion = 90;
  out->maxDynamicSharedSizeBytes = 49152;
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) { return Call().error(); }
cudaError_t cudaFuncSetCacheConfig(const void*, cudaFuncCache) { return Call().error(); }
cudaError_t cudaFuncSetSharedMemConfig(const void*, cudaSharedMemConfig) { return Call().error(); }

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int block_size, size_t,
                                                                   unsigned) {
  const Call call;
  if (!call) return call.error();
  if (blocks == nullptr || block_size <= 0) return fail(cudaErrorInvalidValue);
  const int fit = threads_per_multiprocessor / block_size;
  *blocks = fit < blocks_per_multiprocessor ? fit : blocks_per_multiprocessor;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int block_size,
                                                          size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block_size, shared, 0);
}
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, const void*, const cudaLaunchConfig_t*) {
  if (clusters == nullptr) return fail(cudaErrorInvalidValue);
  *clusters = multiprocessors / 2;
  return Call().error();
}
cudaError_t cudaOccupancyMaxPotentialClusterSize(int* size, const void*, const cudaLaunchConfig_t*) {
  if (size == nullptr) return fail(cudaErrorInvalidValue);
  *size = 8;
  return Call().error();
}

cudaError_t cudaGetSymbolAddress(void** out, const void* symbol) {
  const Call call;
  if (!call) return call.error();
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  CUdeviceptr memory = 0;
  size_t bytes = 0;
  const cudaError_t error = variable_memory(call, symbol, memory, bytes);
  if (error == cudaSuccess) *out = reinterpret_cast<void*>(memory);
  return error;
}
cudaError_t cudaGetSymbolSize(size_t* out, const void* symbol) {
  const Call call;
  if (!call) return call.error();
  if (out == nullptr) return fail(cudaErrorInvalidValue);
  CUdeviceptr memory = 0;
  return variable_memory(call, symbol, memory, *out);
}
cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* source, size_t bytes, size_t offset, cudaMemcpyKind) {
  return copy_symbol(symbol, offset, const_cast<void*>(source), bytes, true);
}
cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* source, size_t bytes, size_t offset, cudaMemcpyKind,
                                    cudaStream_t) {
  return copy_symbol(symbol, offset, const_cast<void*>(source), bytes, true);
}
cudaError_t cudaMemcpyFromSymbol(void* target, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind) {
  return copy_symbol(symbol, offset, target, bytes, false);
}
cudaError_t cudaMemcpyFromSymbolAsync(void* target, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind,
                                      cudaStream_t) {
  return copy_symbol(symbol, offset, target, bytes, false);
}
}
