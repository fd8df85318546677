// cuInit, contexts, primary contexts.
#include "sim/driver/state.hpp"

using namespace vramtrack::sim;

namespace vramtrack::sim {

bool activate(Context& context) {
  if (context.active) return true;
  Device& device = device_at(context.device);
  const std::uint64_t bytes = driver().settings.context_bytes;
  if (!device.charge(bytes)) {
    device.count_failure();
    return false;
  }
  device.context_bytes += bytes;
  context.active = true;
  return true;
}

// cuda.h: cuCtxDestroy() does not destroy allocations by cuMemCreate, cuMemAllocAsync and cuMemAllocFromPoolAsync.
bool dies_with_context(Kind kind) { return kind != Kind::vmm && kind != Kind::pool && kind != Kind::graph; }

void release_contents(Context& context) {
  if (!context.active) return;
  Driver& state = driver();
  for (auto next = state.allocations.begin(); next != state.allocations.end();) {
    const auto allocation = next++;
    if (allocation->second.context == &context && dies_with_context(allocation->second.kind)) release(allocation);
  }
  release_arrays(context);
  release_streams(context);
  if (context.primary) reset_pools(context.device);
  Device& device = device_at(context.device);
  device.release(state.settings.context_bytes);
  device.context_bytes -= state.settings.context_bytes;
  context.active = false;
}

}  // namespace vramtrack::sim

namespace {

CUresult create_context(CUcontext* out, unsigned flags, CUdevice device) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  auto* context = new Context;
  context->device = device;
  context->flags = flags;
  context->references = 1;
  if (!activate(*context)) {
    delete context;
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  context->id = entry->next_context++;
  entry->contexts.add(context);
  *out = reinterpret_cast<CUcontext>(context);
  return ContextStack::push(context);
}

CUresult destroy_context(CUcontext handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  auto* context = reinterpret_cast<Context*>(handle);
  if (!entry->contexts.has(context) || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
  release_contents(*context);
  entry->contexts.remove(context);
  ContextStack::forget(context);
  return CUDA_SUCCESS;  // the object stays: another thread may still have it current, and must get an error
}

CUresult primary_release(CUdevice device) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  Context& primary = entry->primaries[static_cast<std::size_t>(device)];
  if (primary.references == 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (--primary.references == 0) release_contents(primary);
  return CUDA_SUCCESS;
}

CUresult primary_reset(CUdevice device) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  release_contents(entry->primaries[static_cast<std::size_t>(device)]);
  return CUDA_SUCCESS;
}

CUresult primary_set_flags(CUdevice device, unsigned flags) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  entry->primaries[static_cast<std::size_t>(device)].flags = flags;
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuInit(unsigned flags) {
  const CUresult result = initialize(flags);
  if (g_when_initialised != nullptr) g_when_initialised();
  return result;
}

CUresult cuCtxCreate(CUcontext* out, unsigned flags, CUdevice device) { return create_context(out, flags, device); }
CUresult cuCtxCreate_v2(CUcontext* out, unsigned flags, CUdevice device) { return create_context(out, flags, device); }
CUresult cuCtxCreate_v3(CUcontext* out, CUexecAffinityParam*, int, unsigned flags, CUdevice device) {
  return create_context(out, flags, device);
}
CUresult cuCtxCreate_v4(CUcontext* out, CUctxCreateParams*, unsigned flags, CUdevice device) {
  return create_context(out, flags, device);
}
CUresult cuCtxDestroy(CUcontext context) { return destroy_context(context); }
CUresult cuCtxDestroy_v2(CUcontext context) { return destroy_context(context); }

CUresult cuCtxAttach(CUcontext* out, unsigned) {
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult status = cuCtxGetCurrent(out);
  Entry entry(Needs::driver);
  auto* context = reinterpret_cast<Context*>(*out);
  if (status == CUDA_SUCCESS && entry->contexts.has(context)) ++context->references;
  return status;
}
CUresult cuCtxDetach(CUcontext handle) {
  {
    Entry entry(Needs::driver);
    auto* context = reinterpret_cast<Context*>(handle);
    if (entry && entry->contexts.has(context) && context->references > 1) {
      --context->references;
      return CUDA_SUCCESS;
    }
  }
  return destroy_context(handle);
}

CUresult cuCtxPushCurrent_v2(CUcontext handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  auto* context = reinterpret_cast<Context*>(handle);
  if (!entry->contexts.has(context)) return CUDA_ERROR_INVALID_CONTEXT;
  return ContextStack::push(context);
}
CUresult cuCtxPushCurrent(CUcontext handle) { return cuCtxPushCurrent_v2(handle); }

CUresult cuCtxPopCurrent_v2(CUcontext* out) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  Context* context = nullptr;
  const CUresult status = ContextStack::pop(context);
  if (status == CUDA_SUCCESS && out != nullptr) *out = reinterpret_cast<CUcontext>(context);
  return status;
}
CUresult cuCtxPopCurrent(CUcontext* out) { return cuCtxPopCurrent_v2(out); }

CUresult cuCtxSetCurrent(CUcontext handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  auto* context = reinterpret_cast<Context*>(handle);
  if (context != nullptr && !entry->contexts.has(context)) return CUDA_ERROR_INVALID_CONTEXT;
  return ContextStack::set(context);
}

CUresult cuCtxGetCurrent(CUcontext* out) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUcontext>(ContextStack::current());
  return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* out) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = entry.context().device;
  return CUDA_SUCCESS;
}
CUresult cuCtxGetDevice_v2(CUdevice* out, CUcontext handle) {
  if (handle == nullptr) return cuCtxGetDevice(out);
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!entry->contexts.has(handle)) return CUDA_ERROR_INVALID_CONTEXT;
  *out = reinterpret_cast<Context*>(handle)->device;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetFlags(unsigned* flags) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *flags = entry.context().flags;
  return CUDA_SUCCESS;
}
CUresult cuCtxSetFlags(unsigned flags) {
  Entry entry(Needs::context);
  if (entry) entry.context().flags = flags;
  return entry.status();
}

CUresult cuCtxGetId(CUcontext handle, unsigned long long* id) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const auto* context = handle != nullptr ? reinterpret_cast<Context*>(handle) : ContextStack::current();
  if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (context == nullptr || !entry->contexts.has(context)) return CUDA_ERROR_INVALID_CONTEXT;
  *id = context->id;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext, unsigned* version) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = 3020;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetLimit(size_t* value, CUlimit limit) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (limit) {
    case CU_LIMIT_STACK_SIZE:
      *value = entry.context().stack_limit;
      return CUDA_SUCCESS;
    case CU_LIMIT_PRINTF_FIFO_SIZE:
      *value = entry.context().printf_limit;
      return CUDA_SUCCESS;
    case CU_LIMIT_MALLOC_HEAP_SIZE:
      *value = entry.context().heap_limit;
      return CUDA_SUCCESS;
    case CU_LIMIT_MAX_L2_FETCH_GRANULARITY:
      *value = 64;
      return CUDA_SUCCESS;
    default:
      *value = 0;
      return CUDA_SUCCESS;
  }
}
CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (limit == CU_LIMIT_STACK_SIZE) entry.context().stack_limit = value;
  if (limit == CU_LIMIT_PRINTF_FIFO_SIZE) entry.context().printf_limit = value;
  if (limit == CU_LIMIT_MALLOC_HEAP_SIZE) entry.context().heap_limit = value;
  return CUDA_SUCCESS;
}

CUresult cuCtxGetCacheConfig(CUfunc_cache* config) {
  Entry entry(Needs::context);
  if (entry && config != nullptr) *config = CU_FUNC_CACHE_PREFER_NONE;
  return entry.status();
}
CUresult cuCtxSetCacheConfig(CUfunc_cache) { return Entry(Needs::context).status(); }
CUresult cuCtxGetSharedMemConfig(CUsharedconfig* config) {
  Entry entry(Needs::context);
  if (entry && config != nullptr) *config = CU_SHARED_MEM_CONFIG_DEFAULT_BANK_SIZE;
  return entry.status();
}
CUresult cuCtxSetSharedMemConfig(CUsharedconfig) { return Entry(Needs::context).status(); }
CUresult cuCtxResetPersistingL2Cache(void) { return Entry(Needs::context).status(); }

CUresult cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (least != nullptr) *least = 0;
  if (greatest != nullptr) *greatest = -5;
  return CUDA_SUCCESS;
}

CUresult cuCtxEnablePeerAccess(CUcontext handle, unsigned) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  return entry->contexts.has(handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}
CUresult cuCtxDisablePeerAccess(CUcontext handle) { return cuCtxEnablePeerAccess(handle, 0); }

CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice device) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  Context& primary = entry->primaries[static_cast<std::size_t>(device)];
  if (!activate(primary)) return CUDA_ERROR_OUT_OF_MEMORY;
  ++primary.references;
  *out = reinterpret_cast<CUcontext>(&primary);
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned* flags, int* active) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  const Context& primary = entry->primaries[static_cast<std::size_t>(device)];
  if (flags != nullptr) *flags = primary.flags;
  if (active != nullptr) *active = primary.active;
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) { return primary_release(device); }
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) { return primary_release(device); }
CUresult cuDevicePrimaryCtxReset(CUdevice device) { return primary_reset(device); }
CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) { return primary_reset(device); }
CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags) { return primary_set_flags(device, flags); }
CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) { return primary_set_flags(device, flags); }
}
