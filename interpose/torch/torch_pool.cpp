// PyTorch's cudaMallocAsync back end (PYTORCH_CUDA_ALLOC_CONF=backend:cudaMallocAsync). It hands every tensor's memory
// out of CUDA's own pool and reports nothing to the profiler: each cudaMallocAsync of libc10_cuda.so is one block, and
// its figures are the driver's for the device's default pool. A block's size is what the pool's use rose by, so that
// the sum is PyTorch's own memory_allocated(). PyTorch's lock is held around its calls; another user of the same pool
// may still come between, and then the size is rounded up as the blocks before it were.
#include <atomic>
#include <bit>
#include <numeric>

#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/cuda_headers.hpp"
#include "interpose/cuda/framework_pool.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/python/agent.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/torch/torch.hpp"
#include "interpose/trace/fact_writer.hpp"

namespace vramtrack::hooks::torch {

namespace {

constexpr int most_devices = 64;
constexpr Bytes most_padding = 2 << 20;  // a rise by more was not this block's alone

struct Pool {
  std::atomic<bool> seen{false};
  std::atomic<Bytes> unit{512};  // every size so far is a multiple of it
  std::atomic<Bytes> reserved{0};
};
Pool g_pools[most_devices];

struct Level {
  bool known = false;
  Bytes used = 0;
};

bool attribute(int device, CUmemPool_attribute which, Bytes& value) noexcept {
  auto* pool_of = VRAMTRACK_DRIVER(cuDeviceGetDefaultMemPool);
  auto* get = VRAMTRACK_DRIVER(cuMemPoolGetAttribute);
  CUmemoryPool pool = nullptr;
  cuuint64_t found = 0;
  if (pool_of == nullptr || get == nullptr || pool_of(&pool, device) != CUDA_SUCCESS) return false;
  if (get(pool, which, &found) != CUDA_SUCCESS) return false;
  value = found;
  return true;
}

Level level(int device) noexcept {
  Level now;
  now.known = device >= 0 && attribute(device, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, now.used);
  return now;
}

int current_device() noexcept {
  int device = -1;
  auto* get = VRAMTRACK_DRIVER(cuCtxGetDevice);
  return get != nullptr && get(&device) == CUDA_SUCCESS && device < most_devices ? device : -1;
}

Bytes block_bytes(Pool& pool, const Level& before, const Level& after, Bytes asked) noexcept {
  const Bytes unit = pool.unit.load(std::memory_order_relaxed);
  const Bytes rise = after.used - before.used;
  if (!before.known || !after.known || after.used < before.used || rise < asked || rise - asked >= most_padding)
    return (asked + unit - 1) / unit * unit;
  pool.unit.store(std::gcd(unit, rise), std::memory_order_relaxed);
  return rise;
}

int alloc_block(const Call& call, Facts facts) noexcept {
  const HookScope scope;
  if (!scope.outermost()) return call.real();
  Level before;
  bool captured = false;
  int device = -1;
  {
    const SavedErrno keep;
    captured = facts(false).kind == Kind::graph;
    if (!captured) before = level(device = current_device());
  }
  const int result = call.real();
  if (result != success && result != out_of_memory) return result;
  const SavedErrno keep;
  AllocFacts found = facts(result == success);
  const std::int16_t where = device >= 0 ? static_cast<std::int16_t>(device) : device_for(Kind::pool);
  if (where < 0 || where >= most_devices || !recording()) return result;
  Pool& pool = g_pools[where];
  Bytes reserved = pool.reserved.load(std::memory_order_relaxed);
  if (!captured && attribute(where, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, reserved))
    pool.reserved.store(reserved, std::memory_order_relaxed);
  if (result == out_of_memory) {  // the back end does not try again
    record_oom(Layer::tensor, where, found.bytes, before.used, reserved, call.start);
    return result;
  }
  if (found.address == 0) return result;
  if (captured) {  // a node of the graph, which PyTorch does not count as allocated
    record_success(call, found, where);
    return result;
  }
  const Level after = level(where);
  found.bytes = block_bytes(pool, before, after, found.bytes);
  pool.seen.store(true, std::memory_order_relaxed);
  record_success(call, found, where);
  record_alloc({Layer::tensor, Kind::block, where, found.address, found.bytes, found.stream, reserved}, call.start);
  agent::watch(true, after.used);
  return result;
}

ledger::Removed free_block(const ledger::Removed& freed, std::uintptr_t caller) noexcept {
  if (!freed.found || freed.site->kind != static_cast<std::uint8_t>(Kind::pool) || !called_by_torch(caller)) return {};
  const std::int16_t device = freed.site->device;
  if (device < 0 || device >= most_devices || !g_pools[device].seen.load(std::memory_order_relaxed)) return {};
  agent::watch(false, 0);
  return record_free({Layer::tensor, device, Kind::block, freed.block.address,
                      g_pools[device].reserved.load(std::memory_order_relaxed)});
}

void take_block_back(const ledger::Removed& removed) noexcept {
  if (!removed.found) return;
  agent::watch(true, 0);
  take_back(removed);
}

void describe_pool(int device, trace::FactWriter& fact) noexcept {
  if (device < 0 || device >= most_devices || !g_pools[device].seen.load(std::memory_order_relaxed)) return;
  Bytes reserved = 0, used = 0;
  if (!attribute(device, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, reserved) ||
      !attribute(device, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, used))
    return;
  fact.begin_map(fact::memory_info::torch_pool);
  fact.field(fact::pool::reserved_bytes, reserved);
  fact.field(fact::pool::used_bytes, used);
  fact.end();
}

}  // namespace

}  // namespace vramtrack::hooks::torch

namespace vramtrack::hooks {

constinit const FrameworkPool framework_pool{.reports_refusals = torch::reports_refusals,
                                             .alloc = torch::alloc_block,
                                             .free = torch::free_block,
                                             .take_back = torch::take_block_back,
                                             .describe = torch::describe_pool};

}  // namespace vramtrack::hooks
