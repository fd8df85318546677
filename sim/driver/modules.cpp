// Modules, libraries, functions, launches, the JIT linker. Code is accepted unread: any function name is found, kernels
// do nothing, and a launch is checked only for a plausible shape.
#include <algorithm>
#include <string>

#include "sim/core/properties.hpp"
#include "sim/driver/capture.hpp"
#include "sim/driver/graph.hpp"

using namespace vramtrack::sim;

namespace {

struct Function;

struct Module {
  std::map<std::string, Function*> functions;
};

struct Function {
  std::string name;
  Module* module = nullptr;
  std::map<int, int> attributes;
};

struct State {
  Live<Module> modules;
  Live<Function> functions;
};
State& state() {
  static State& all = *new State;
  return all;
}

CUresult load(Needs needs, const void* image, Module*& out) {
  Entry entry(needs);
  if (!entry) return entry.status();
  if (image == nullptr) return CUDA_ERROR_INVALID_VALUE;
  out = state().modules.add(new Module);
  return CUDA_SUCCESS;
}

CUresult load_module(CUmodule* out, const void* image) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return load(Needs::context, image, *reinterpret_cast<Module**>(out));
}

CUresult unload(const void* handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!state().modules.remove(handle)) return CUDA_ERROR_INVALID_HANDLE;
  auto* module = static_cast<Module*>(const_cast<void*>(handle));
  for (auto& [name, function] : module->functions) {
    state().functions.remove(function);
    delete function;
  }
  delete module;
  return CUDA_SUCCESS;
}

CUresult get_function(Function** out, const void* handle, const char* name) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!state().modules.has(handle)) return CUDA_ERROR_INVALID_HANDLE;
  auto* module = static_cast<Module*>(const_cast<void*>(handle));
  Function*& function = module->functions[name];
  if (function == nullptr) {
    function = state().functions.add(new Function);
    function->name = name;
    function->module = module;
  }
  *out = function;
  return CUDA_SUCCESS;
}

int function_attribute(const Function& function, CUfunction_attribute attribute) {
  if (const auto set = function.attributes.find(attribute); set != function.attributes.end()) return set->second;
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return 1024;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      return 32;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      return 90;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      return 49152;
    default:
      return 0;
  }
}

CUresult get_attribute(int* value, CUfunction_attribute attribute, const void* handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!state().functions.has(handle)) return CUDA_ERROR_INVALID_HANDLE;
  *value = function_attribute(*static_cast<const Function*>(handle), attribute);
  return CUDA_SUCCESS;
}

CUresult set_attribute(const void* handle, CUfunction_attribute attribute, int value) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!state().functions.has(handle)) return CUDA_ERROR_INVALID_HANDLE;
  static_cast<Function*>(const_cast<void*>(handle))->attributes[attribute] = value;
  return CUDA_SUCCESS;
}

CUresult get_name(const char** out, const void* handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!state().functions.has(handle)) return CUDA_ERROR_INVALID_HANDLE;
  *out = static_cast<const Function*>(handle)->name.c_str();
  return CUDA_SUCCESS;
}

CUresult launch(unsigned block_x, unsigned block_y, unsigned block_z, unsigned grid, CUstream handle) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (grid == 0 || block_x == 0 || block_y == 0 || block_z == 0) return CUDA_ERROR_INVALID_VALUE;
  if (std::uint64_t{block_x} * block_y * block_z > 1024) return CUDA_ERROR_INVALID_VALUE;
  Stream* stream = nullptr;
  const CUresult status = resolve_stream(handle, entry.context(), stream);
  if (status != CUDA_SUCCESS || capture_work(*stream, CU_GRAPH_NODE_TYPE_KERNEL, {})) return status;
  pass_time();
  const WorkList before = pending_on(*stream);
  entry.unlock();
  return await(before);
}

CUresult occupancy(int* blocks, int block_size) {
  if (blocks == nullptr || block_size <= 0) return CUDA_ERROR_INVALID_VALUE;
  *blocks = std::clamp(threads_per_multiprocessor / block_size, 0, blocks_per_multiprocessor);
  return CUDA_SUCCESS;
}

CUresult best_block(int* grid, int* block, int limit) {
  if (grid == nullptr || block == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *block = limit > 0 ? std::min(limit, 1024) : 1024;
  *grid = multiprocessors * (threads_per_multiprocessor / *block);
  return CUDA_SUCCESS;
}

constexpr char empty_image[] = "vramtrack simulated device code";

}  // namespace

extern "C" {

CUresult cuModuleLoad(CUmodule* out, const char* path) { return load_module(out, path); }
CUresult cuModuleLoadData(CUmodule* out, const void* image) { return load_module(out, image); }
CUresult cuModuleLoadDataEx(CUmodule* out, const void* image, unsigned, CUjit_option*, void**) {
  return load_module(out, image);
}
CUresult cuModuleLoadFatBinary(CUmodule* out, const void* image) { return load_module(out, image); }
CUresult cuModuleUnload(CUmodule module) { return unload(module); }
CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode* mode) {
  if (mode == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *mode = CU_MODULE_LAZY_LOADING;
  return CUDA_SUCCESS;
}
CUresult cuModuleGetFunction(CUfunction* out, CUmodule module, const char* name) {
  return get_function(reinterpret_cast<Function**>(out), module, name);
}
CUresult cuModuleGetGlobal_v2(CUdeviceptr*, size_t*, CUmodule, const char*) { return CUDA_ERROR_NOT_FOUND; }

CUresult cuLibraryLoadData(CUlibrary* out, const void* code, CUjit_option*, void**, unsigned, CUlibraryOption*, void**,
                           unsigned) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return load(Needs::driver, code, *reinterpret_cast<Module**>(out));
}
CUresult cuLibraryLoadFromFile(CUlibrary* out, const char* path, CUjit_option*, void**, unsigned, CUlibraryOption*,
                               void**, unsigned) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return load(Needs::driver, path, *reinterpret_cast<Module**>(out));
}
CUresult cuLibraryUnload(CUlibrary library) { return unload(library); }
CUresult cuLibraryGetKernel(CUkernel* out, CUlibrary library, const char* name) {
  return get_function(reinterpret_cast<Function**>(out), library, name);
}
CUresult cuLibraryGetModule(CUmodule* out, CUlibrary library) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUmodule>(library);
  return CUDA_SUCCESS;
}
CUresult cuLibraryGetGlobal(CUdeviceptr*, size_t*, CUlibrary, const char*) { return CUDA_ERROR_NOT_FOUND; }
CUresult cuLibraryGetManaged(CUdeviceptr*, size_t*, CUlibrary, const char*) { return CUDA_ERROR_NOT_FOUND; }
CUresult cuKernelGetFunction(CUfunction* out, CUkernel kernel) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUfunction>(kernel);
  return CUDA_SUCCESS;
}
CUresult cuKernelGetAttribute(int* value, CUfunction_attribute attribute, CUkernel kernel, CUdevice) {
  return get_attribute(value, attribute, kernel);
}
CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel kernel, CUdevice) {
  return set_attribute(kernel, attribute, value);
}
CUresult cuKernelSetCacheConfig(CUkernel, CUfunc_cache, CUdevice) { return CUDA_SUCCESS; }
CUresult cuKernelGetName(const char** out, CUkernel kernel) { return get_name(out, kernel); }

CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  return get_attribute(value, attribute, function);
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  return set_attribute(function, attribute, value);
}
CUresult cuFuncSetCacheConfig(CUfunction, CUfunc_cache) { return CUDA_SUCCESS; }
CUresult cuFuncSetSharedMemConfig(CUfunction, CUsharedconfig) { return CUDA_SUCCESS; }
CUresult cuFuncGetName(const char** out, CUfunction function) { return get_name(out, function); }
CUresult cuFuncGetModule(CUmodule* out, CUfunction function) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr || !state().functions.has(function)) return CUDA_ERROR_INVALID_HANDLE;
  *out = reinterpret_cast<CUmodule>(reinterpret_cast<Function*>(function)->module);
  return CUDA_SUCCESS;
}
CUresult cuFuncIsLoaded(CUfunctionLoadingState* out, CUfunction) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = CU_FUNCTION_LOADING_STATE_LOADED;
  return CUDA_SUCCESS;
}
CUresult cuFuncLoad(CUfunction) { return CUDA_SUCCESS; }

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned, CUstream stream, void**, void**) {
  if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const bool empty = grid_x == 0 || grid_y == 0 || grid_z == 0;
  return launch(block_x, block_y, block_z, empty ? 0 : 1, stream);
}
CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction function, void** parameters, void** extra) {
  if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return cuLaunchKernel(function, config->gridDimX, config->gridDimY, config->gridDimZ, config->blockDimX,
                        config->blockDimY, config->blockDimZ, 0, config->hStream, parameters, extra);
}
CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                                   CUstream stream, void** parameters) {
  return cuLaunchKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, parameters,
                        nullptr);
}

CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction, int block_size, size_t) {
  return occupancy(blocks, block_size);
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, CUfunction, int block_size, size_t,
                                                              unsigned) {
  return occupancy(blocks, block_size);
}
CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction, CUoccupancyB2DSize, size_t, int limit) {
  return best_block(grid, block, limit);
}
CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid, int* block, CUfunction, CUoccupancyB2DSize, size_t,
                                                   int limit, unsigned) {
  return best_block(grid, block, limit);
}

CUresult cuLinkCreate_v2(unsigned, CUjit_option*, void**, CUlinkState* out) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUlinkState>(const_cast<char*>(empty_image));
  return CUDA_SUCCESS;
}
CUresult cuLinkAddData_v2(CUlinkState, CUjitInputType, void*, size_t, const char*, unsigned, CUjit_option*, void**) {
  return CUDA_SUCCESS;
}
CUresult cuLinkAddFile_v2(CUlinkState, CUjitInputType, const char*, unsigned, CUjit_option*, void**) {
  return CUDA_SUCCESS;
}
CUresult cuLinkComplete(CUlinkState, void** image, size_t* size) {
  if (image != nullptr) *image = const_cast<char*>(empty_image);
  if (size != nullptr) *size = sizeof empty_image;
  return CUDA_SUCCESS;
}
CUresult cuLinkDestroy(CUlinkState) { return CUDA_SUCCESS; }

CUresult cuTensorMapEncodeTiled(CUtensorMap* map, CUtensorMapDataType, cuuint32_t, void*, const cuuint64_t*,
                                const cuuint64_t*, const cuuint32_t*, const cuuint32_t*, CUtensorMapInterleave,
                                CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  if (map == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *map = CUtensorMap{};
  return CUDA_SUCCESS;
}
}
