#include "sim/driver/pools.hpp"

#include <algorithm>

#include "sim/driver/capture.hpp"
#include "sim/driver/graph.hpp"

using namespace vramtrack::sim;

namespace {

constexpr std::uint64_t pool_chunk = 32ull << 20;
constexpr std::uint64_t pool_unit = 512;

struct State {
  Live<Pool> live;
  std::map<int, Pool*> defaults, current;
  std::uint64_t next_serial = 1;
};

State& state() {
  static State& all = *new State;
  return all;
}

/// Gives back what the pool holds beyond `keep` bytes and does not use.
void trim(Pool& pool, std::uint64_t keep) {
  const std::uint64_t needed = round_up(std::max(pool.used, std::min(keep, pool.reserved)), big_page);
  if (needed >= pool.reserved) return;
  device_at(pool.device).release(pool.reserved - needed);
  pool.reserved = needed;
}

bool grow(Pool& pool, std::uint64_t used) {
  if (used <= pool.reserved) return true;
  if (pool.properties.maxSize != 0 && used > pool.properties.maxSize) return false;
  Device& device = device_at(pool.device);
  const std::uint64_t missing = used - pool.reserved;
  std::uint64_t taken = round_up(missing, pool_chunk);
  if (pool.properties.maxSize != 0)
    taken = std::min(taken, round_up(pool.properties.maxSize, big_page) - pool.reserved);
  if (!device.charge(taken)) {
    taken = round_up(missing, big_page);
    if (!charge_or_reclaim(device, taken, &Device::charge)) return false;
  }
  pool.reserved += taken;
  pool.reserved_high = std::max(pool.reserved_high, pool.reserved);
  return true;
}

void remove_if_done(Pool* pool) {
  if (!pool->destroyed || pool->blocks != 0) return;
  if (!pool->imported) trim(*pool, 0);
  delete pool;
}

Pool* new_pool(int device, const CUmemPoolProps& properties) {
  auto* pool = new Pool;
  pool->device = device;
  pool->properties = properties;
  pool->serial = state().next_serial++;
  return state().live.add(pool);
}

/// The device of a memory location; -1 when it is none (pools of host memory are not simulated).
int device_of(const CUmemLocation* location) {
  if (location == nullptr || location->type != CU_MEM_LOCATION_TYPE_DEVICE || !valid_device(location->id)) return -1;
  return location->id;
}

CUresult allocate_async(CUdeviceptr* out, size_t bytes, Pool* chosen, CUstream handle) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  Stream* stream = nullptr;
  if (const CUresult status = resolve_stream(handle, entry.context(), stream); status != CUDA_SUCCESS) return status;
  Pool* pool = chosen != nullptr ? chosen : current_pool(stream->context->device);
  if (!pools().has(pool)) return CUDA_ERROR_INVALID_VALUE;
  if (bytes == 0) {
    *out = 0;
    return CUDA_SUCCESS;
  }
  if (stream->capture != nullptr) {
    CUDA_MEM_ALLOC_NODE_PARAMS params{};
    params.poolProps = pool->properties;
    params.bytesize = bytes;
    Node* node = nullptr;
    const CUresult status = add_alloc_node(*stream->capture->graph, stream->frontier, params, node);
    if (status != CUDA_SUCCESS) return status;
    stream->frontier = {node};
    *out = params.dptr;
    return CUDA_SUCCESS;
  }
  return allocate_from_pool(*pool, *stream->context, bytes, out);
}

}  // namespace

namespace vramtrack::sim {

Live<Pool>& pools() { return state().live; }

Pool* default_pool(int device) {
  Pool*& pool = state().defaults[device];
  if (pool == nullptr) {
    CUmemPoolProps properties{};
    properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
    pool = new_pool(device, properties);
    pool->is_default = true;
  }
  return pool;
}

Pool* current_pool(int device) {
  Pool* pool = state().current[device];
  return pool != nullptr && pools().has(pool) ? pool : default_pool(device);
}

Pool* pool_of(CUmemoryPool handle) {
  auto* pool = reinterpret_cast<Pool*>(handle);
  return pools().has(pool) ? pool : nullptr;
}

CUresult allocate_from_pool(Pool& pool, Context& context, std::uint64_t bytes, CUdeviceptr* out) {
  const std::uint64_t span = round_up(bytes, pool_unit);
  if (span < bytes || !grow(pool, pool.used + span)) {
    device_at(pool.device).count_failure();
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  Allocation allocation;
  allocation.base = driver().backing.take(pool.device, span, pool_unit);
  if (allocation.base == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  allocation.bytes = bytes;
  allocation.span = span;
  allocation.kind = Kind::pool;
  allocation.device = pool.device;
  allocation.context = &context;
  allocation.pool = &pool;
  pool.used += span;
  pool.used_high = std::max(pool.used_high, pool.used);
  ++pool.blocks;
  *out = record(allocation).base;
  return CUDA_SUCCESS;
}

void release_pool_block(Allocation& allocation) {
  allocation.pool->used -= allocation.span;
  --allocation.pool->blocks;
  remove_if_done(allocation.pool);
}

void trim_pools(int device) {
  for (Pool* pool : pools().all()) {
    if (pool->device == device && !pool->imported) trim(*pool, pool->threshold);
  }
}

void reclaim_pools(int device) {
  for (Pool* pool : pools().all()) {
    if (pool->device == device && !pool->imported) trim(*pool, 0);
  }
  Device& books = device_at(device);
  const std::uint64_t unused = books.graph_reserved - round_up(books.graph_used, big_page);
  books.release(unused);
  books.graph_reserved -= unused;
}

void reset_pools(int device) {
  reclaim_pools(device);
  if (Pool* pool = default_pool(device)) {
    pool->threshold = 0;
    pool->reserved_high = pool->used_high = 0;
  }
  state().current[device] = nullptr;
}

std::uint64_t pool_reserved(int device) {
  std::uint64_t sum = 0;
  for (const Pool* pool : pools().all()) sum += pool->device == device && !pool->imported ? pool->reserved : 0;
  return sum;
}

}  // namespace vramtrack::sim

extern "C" {

CUresult cuMemAllocAsync(CUdeviceptr* out, size_t bytes, CUstream stream) {
  return allocate_async(out, bytes, nullptr, stream);
}
CUresult cuMemAllocFromPoolAsync(CUdeviceptr* out, size_t bytes, CUmemoryPool pool, CUstream stream) {
  if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return allocate_async(out, bytes, reinterpret_cast<Pool*>(pool), stream);
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
  await_allocation(address);
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  Stream* stream = nullptr;
  if (const CUresult status = resolve_stream(handle, entry.context(), stream); status != CUDA_SUCCESS) return status;
  if (stream->capture != nullptr) {
    Node& node = add_node(*stream->capture->graph, CU_GRAPH_NODE_TYPE_MEM_FREE, stream->frontier);
    node.freed = address;
    stream->frontier = {&node};
    return CUDA_SUCCESS;
  }
  const auto found = entry->allocations.find(address);
  if (found == entry->allocations.end()) return CUDA_ERROR_INVALID_VALUE;
  const Kind kind = found->second.kind;
  const bool imported = kind == Kind::ipc && found->second.pool != nullptr;
  if (kind != Kind::pool && kind != Kind::graph && kind != Kind::device && !imported) return CUDA_ERROR_INVALID_VALUE;
  release(found);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolCreate(CUmemoryPool* out, const CUmemPoolProps* properties) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr || properties == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const int device = device_of(&properties->location);
  if (device < 0) {
    return properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE ? CUDA_ERROR_INVALID_DEVICE
                                                                    : NOT_SIMULATED("a memory pool on the host");
  }
  *out = reinterpret_cast<CUmemoryPool>(new_pool(device, *properties));
  return CUDA_SUCCESS;
}

CUresult cuMemPoolDestroy(CUmemoryPool handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  Pool* pool = pool_of(handle);
  if (pool == nullptr || pool->is_default) return CUDA_ERROR_INVALID_VALUE;
  pools().remove(pool);  // blocks stay valid until they are freed
  pool->destroyed = true;
  if (!pool->imported) trim(*pool, 0);
  remove_if_done(pool);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolTrimTo(CUmemoryPool handle, size_t keep) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  Pool* pool = pool_of(handle);
  if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
  trim(*pool, keep);
  return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  Pool* pool = pool_of(handle);
  if (pool == nullptr || value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      pool->reuse_flags[attribute] = *static_cast<int*>(value);
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      pool->threshold = *static_cast<cuuint64_t*>(value);
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:  // high marks can only be reset
      if (*static_cast<cuuint64_t*>(value) != 0) return CUDA_ERROR_INVALID_VALUE;
      pool->reserved_high = pool->reserved;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      if (*static_cast<cuuint64_t*>(value) != 0) return CUDA_ERROR_INVALID_VALUE;
      pool->used_high = pool->used;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Pool* pool = pool_of(handle);
  if (pool == nullptr || value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto* out = static_cast<cuuint64_t*>(value);
  switch (attribute) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
      *static_cast<int*>(value) = pool->reuse_flags[attribute];
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
      *out = pool->threshold;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
      *out = pool->reserved;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
      *out = pool->reserved_high;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
      *out = pool->used;
      return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
      *out = pool->used_high;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc* map, size_t count) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  Pool* pool = pool_of(handle);
  if (pool == nullptr || (map == nullptr && count != 0)) return CUDA_ERROR_INVALID_VALUE;
  for (size_t i = 0; i < count; ++i) {
    if (device_of(&map[i].location) < 0) return CUDA_ERROR_INVALID_DEVICE;
    pool->access[map[i].location.id] = map[i].flags;
  }
  return CUDA_SUCCESS;
}

CUresult cuMemPoolGetAccess(CUmemAccess_flags* flags, CUmemoryPool handle, CUmemLocation* location) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Pool* pool = pool_of(handle);
  const int device = device_of(location);
  if (pool == nullptr || flags == nullptr || device < 0) return CUDA_ERROR_INVALID_VALUE;
  const auto found = pool->access.find(device);
  *flags = device == pool->device        ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
           : found != pool->access.end() ? found->second
                                         : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* out, CUdevice device) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  *out = reinterpret_cast<CUmemoryPool>(default_pool(device));
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetMemPool(CUmemoryPool* out, CUdevice device) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  *out = reinterpret_cast<CUmemoryPool>(current_pool(device));
  return CUDA_SUCCESS;
}
CUresult cuDeviceSetMemPool(CUdevice device, CUmemoryPool handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  Pool* pool = pool_of(handle);
  if (pool == nullptr || pool->device != device) return CUDA_ERROR_INVALID_VALUE;
  state().current[device] = pool;
  return CUDA_SUCCESS;
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool* out, CUmemLocation* location, CUmemAllocationType) {
  return location == nullptr ? CUDA_ERROR_INVALID_VALUE : cuDeviceGetDefaultMemPool(out, location->id);
}
CUresult cuMemGetMemPool(CUmemoryPool* out, CUmemLocation* location, CUmemAllocationType) {
  return location == nullptr ? CUDA_ERROR_INVALID_VALUE : cuDeviceGetMemPool(out, location->id);
}
CUresult cuMemSetMemPool(CUmemLocation* location, CUmemAllocationType, CUmemoryPool pool) {
  return location == nullptr ? CUDA_ERROR_INVALID_VALUE : cuDeviceSetMemPool(location->id, pool);
}
}
