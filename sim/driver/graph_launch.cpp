// Running CUDA graphs: copies and host functions happen, kernels do not, memory nodes take and give memory.
#include <algorithm>

#include "sim/driver/graph.hpp"

using namespace vramtrack::sim;

namespace {

Live<GraphExec>& executables() {
  static Live<GraphExec>& all = *new Live<GraphExec>;
  return all;
}

/// Ranges whose memory is held, with the last reference to them.
std::map<std::uint64_t, std::shared_ptr<GraphRange>>& held() {
  static auto& all = *new std::map<std::uint64_t, std::shared_ptr<GraphRange>>;
  return all;
}

CUresult instantiate(CUgraphExec* out, CUgraph handle, unsigned long long flags) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  auto* graph = reinterpret_cast<Graph*>(handle);
  if (out == nullptr || graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto* executable = new GraphExec;
  executable->nodes = graph->nodes;
  executable->context = &entry.context();
  executable->frees_before_launch = (flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH) != 0;
  *out = reinterpret_cast<CUgraphExec>(executables().add(executable));
  return CUDA_SUCCESS;
}

CUresult run_alloc(const Node& node, Context& context) {
  Driver& state = driver();
  if (held().count(node.range->address) != 0) return CUDA_ERROR_INVALID_VALUE;  // launched again without a free
  Device& device = device_at(node.range->device);
  const std::uint64_t used = device.graph_used + node.range->span;
  const std::uint64_t needed = round_up(used, big_page);
  if (needed > device.graph_reserved) {
    if (!charge_or_reclaim(device, needed - device.graph_reserved, &Device::charge)) return CUDA_ERROR_OUT_OF_MEMORY;
    device.graph_reserved = needed;
    device.graph_reserved_high = std::max(device.graph_reserved_high, needed);
  }
  device.graph_used = used;
  device.graph_used_high = std::max(device.graph_used_high, used);
  Allocation allocation;
  allocation.base = node.range->address;
  allocation.bytes = node.range->bytes;
  allocation.span = node.range->span;
  allocation.kind = Kind::graph;
  allocation.device = node.range->device;
  allocation.context = &context;
  record(allocation);
  held()[node.range->address] = node.range;
  (void)state;
  return CUDA_SUCCESS;
}

CUresult run_nodes(const std::list<Node>& nodes, Context& context);

CUresult run_node(const Node& node, Context& context) {
  switch (node.type) {
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC: {
      const std::lock_guard lock(driver().lock);
      return run_alloc(node, context);
    }
    case CU_GRAPH_NODE_TYPE_MEM_FREE: {
      const std::lock_guard lock(driver().lock);
      const auto found = driver().allocations.find(node.freed);
      if (found == driver().allocations.end()) return CUDA_ERROR_INVALID_VALUE;
      release(found);
      return CUDA_SUCCESS;
    }
    case CU_GRAPH_NODE_TYPE_GRAPH:
      if (node.child != nullptr) return run_nodes(node.child->nodes, context);
      [[fallthrough]];  // captured: its work launches it
    default:
      if (node.work) node.work();
      return CUDA_SUCCESS;
  }
}

CUresult run_nodes(const std::list<Node>& nodes, Context& context) {
  for (const Node& node : nodes)
    if (const CUresult status = run_node(node, context); status != CUDA_SUCCESS) return status;
  return CUDA_SUCCESS;
}

/// What the graph's last launch allocated and nobody freed since.
void free_what_is_left(const GraphExec& executable) {
  const std::lock_guard lock(driver().lock);
  for (const Node& node : executable.nodes) {
    if (node.type != CU_GRAPH_NODE_TYPE_MEM_ALLOC || held().count(node.range->address) == 0) continue;
    if (const auto found = driver().allocations.find(node.range->address); found != driver().allocations.end())
      release(found);
  }
}

CUresult run_graph(const GraphExec& executable) {
  if (executable.frees_before_launch) free_what_is_left(executable);
  return run_nodes(executable.nodes, *executable.context);
}

/// Changes a node of an executable: the one that stands where `handle` does in its graph.
template <typename Change>
CUresult change_node(CUgraphExec executable, CUgraphNode handle, CUgraphNodeType type, Change change) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const auto* node = reinterpret_cast<Node*>(handle);
  if (!executables().has(executable) || node == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto& nodes = reinterpret_cast<GraphExec*>(executable)->nodes;
  auto own = nodes.begin();
  for (const Node& other : node->graph->nodes) {
    if (own == nodes.end() || &other == node) break;
    ++own;
  }
  if (own == nodes.end() || own->type != type) return CUDA_ERROR_INVALID_VALUE;
  change(*own);
  return CUDA_SUCCESS;
}

}  // namespace

namespace vramtrack::sim {

void release_graph_block(Allocation& allocation) {
  device_at(allocation.device).graph_used -= allocation.span;
  driver().written.remove(allocation.base, allocation.base + allocation.span);
  held().erase(allocation.base);
}

}  // namespace vramtrack::sim

extern "C" {

CUresult cuGraphInstantiateWithFlags(CUgraphExec* out, CUgraph graph, unsigned long long flags) {
  return instantiate(out, graph, flags);
}
CUresult cuGraphInstantiate(CUgraphExec* out, CUgraph graph, CUgraphNode*, char*, size_t) {
  return instantiate(out, graph, 0);
}
CUresult cuGraphInstantiate_v2(CUgraphExec* out, CUgraph graph, CUgraphNode*, char*, size_t) {
  return instantiate(out, graph, 0);
}
CUresult cuGraphInstantiateWithParams(CUgraphExec* out, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  if (params != nullptr) params->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
  return instantiate(out, graph, params != nullptr ? params->flags : 0);
}

CUresult cuGraphExecDestroy(CUgraphExec handle) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!executables().remove(handle)) return CUDA_ERROR_INVALID_VALUE;
  delete reinterpret_cast<GraphExec*>(handle);
  return CUDA_SUCCESS;
}

CUresult cuGraphUpload(CUgraphExec handle, CUstream) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  return executables().has(handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
  auto* executable = reinterpret_cast<GraphExec*>(handle);
  WorkList before;
  {
    Entry entry(Needs::context);
    if (!entry) return entry.status();
    if (!executables().has(executable)) return CUDA_ERROR_INVALID_VALUE;
    Stream* stream = nullptr;
    const CUresult status = resolve_stream(stream_handle, entry.context(), stream);
    if (status != CUDA_SUCCESS) return status;
    if (capture_work(*stream, CU_GRAPH_NODE_TYPE_GRAPH, [executable] { run_graph(*executable); })) return CUDA_SUCCESS;
    before = pending_on(*stream);
    pass_time();
  }
  if (const CUresult status = await(before); status != CUDA_SUCCESS) return status;
  drain_host_functions();
  return run_graph(*executable);
}

CUresult cuGraphExecUpdate_v2(CUgraphExec handle, CUgraph graph, CUgraphExecUpdateResultInfo* result) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!executables().has(handle) || graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  reinterpret_cast<GraphExec*>(handle)->nodes = reinterpret_cast<Graph*>(graph)->nodes;
  if (result != nullptr) *result = {CU_GRAPH_EXEC_UPDATE_SUCCESS, nullptr, nullptr};
  return CUDA_SUCCESS;
}

CUresult cuGraphExecChildGraphNodeSetParams(CUgraphExec executable, CUgraphNode node, CUgraph child) {
  if (child == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return change_node(executable, node, CU_GRAPH_NODE_TYPE_GRAPH,
                     [&](Node& own) { own.child = child_of(*reinterpret_cast<Graph*>(child)); });
}
CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec executable, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS* params,
                                        CUcontext) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return change_node(executable, node, CU_GRAPH_NODE_TYPE_MEMSET, [&](Node& own) { own.work = fill_work(*params); });
}
CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec executable, CUgraphNode node, const CUDA_MEMCPY3D* params,
                                        CUcontext) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return change_node(executable, node, CU_GRAPH_NODE_TYPE_MEMCPY, [&](Node& own) { own.work = copy_work(*params); });
}
CUresult cuGraphExecKernelNodeSetParams(CUgraphExec executable, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1*) {
  return change_node(executable, node, CU_GRAPH_NODE_TYPE_KERNEL, [](Node&) {});
}
CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec executable, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS*) {
  return change_node(executable, node, CU_GRAPH_NODE_TYPE_KERNEL, [](Node&) {});
}

CUresult cuDeviceGraphMemTrim(CUdevice index) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(index)) return CUDA_ERROR_INVALID_DEVICE;
  Device& device = device_at(index);
  const std::uint64_t needed = round_up(device.graph_used, big_page);
  device.release(device.graph_reserved - needed);
  device.graph_reserved = needed;
  return CUDA_SUCCESS;
}

CUresult cuDeviceGetGraphMemAttribute(CUdevice index, CUgraphMem_attribute attribute, void* value) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(index)) return CUDA_ERROR_INVALID_DEVICE;
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Device& device = device_at(index);
  auto* out = static_cast<cuuint64_t*>(value);
  switch (attribute) {
    case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT:
      *out = device.graph_used;
      return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
      *out = device.graph_used_high;
      return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
      *out = device.graph_reserved;
      return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
      *out = device.graph_reserved_high;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuDeviceSetGraphMemAttribute(CUdevice index, CUgraphMem_attribute attribute, void* value) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(index)) return CUDA_ERROR_INVALID_DEVICE;
  if (value == nullptr || *static_cast<cuuint64_t*>(value) != 0) return CUDA_ERROR_INVALID_VALUE;
  Device& device = device_at(index);
  if (attribute == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) {
    device.graph_used_high = device.graph_used;
  } else if (attribute == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) {
    device.graph_reserved_high = device.graph_reserved;
  } else {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}
}
