// The driver's own figures for tests and tools (core/stats.h).
#include <algorithm>

#include "sim/driver/state.hpp"

using namespace vramtrack::sim;

extern "C" {

int vramtrack_sim_stats(int index, vramtrack_sim_figures* out) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(index)) return CUDA_ERROR_INVALID_DEVICE;
  if (out == nullptr || out->size < sizeof *out) return CUDA_ERROR_INVALID_VALUE;
  const Device& device = device_at(index);
  out->device = index;
  out->total_bytes = device.total();
  out->free_bytes = device.free();
  out->used_bytes = device.used();
  out->context_bytes = device.context_bytes;
  out->pool_reserved_bytes = pool_reserved(index);
  out->graph_reserved_bytes = device.graph_reserved;
  for (std::size_t kind = 0; kind < VRAMTRACK_SIM_KINDS; ++kind) {
    out->live_bytes[kind] = device.live_bytes(kind);
    out->live_count[kind] = device.live_count(kind);
  }
  out->allocations = device.allocations();
  out->failures = device.failures();
  return CUDA_SUCCESS;
}

uint64_t vramtrack_sim_live(int (*visit)(const vramtrack_sim_block*, void*), void* context) {
  std::vector<vramtrack_sim_block> blocks;
  {
    Entry entry(Needs::driver);
    if (!entry || visit == nullptr) return 0;
    for (const auto& [base, allocation] : entry->allocations) {
      if (allocation.kind == Kind::vmm) continue;  // mappings; their handles follow
      blocks.push_back({allocation.base, allocation.bytes, allocation.serial,
                        static_cast<std::uint32_t>(allocation.kind), allocation.device});
    }
    append_arrays(blocks);
    append_handles(blocks);
  }
  std::sort(blocks.begin(), blocks.end(), [](const auto& a, const auto& b) { return a.serial < b.serial; });
  std::uint64_t visited = 0;
  for (const vramtrack_sim_block& block : blocks) {
    ++visited;
    if (visit(&block, context) != 0) break;
  }
  return visited;
}

/// For the runtime: memory of a module's variable. Not an allocation that a program asked for, so it is no function of
/// the API and tools between runtime and driver do not see it, as with NVIDIA's.
int vramtrack_sim_module_memory(uint64_t bytes, uint64_t* out) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  CUdeviceptr address = 0;
  const CUresult status = allocate_device(entry.device(), entry.context(), bytes, Kind::module, &address);
  if (status == CUDA_SUCCESS) *out = address;
  return status;
}
}
