// Building CUDA graphs.
#include "sim/driver/graph.hpp"

#include <algorithm>
#include <cstdio>

#include "sim/driver/copy.hpp"
#include "sim/driver/pools.hpp"

using namespace vramtrack::sim;

namespace {

Live<Graph>& graphs() {
  static Live<Graph>& all = *new Live<Graph>;
  return all;
}

/// How an "add node" function begins: the lock, the graph, the dependencies.
struct Adding {
  Adding(CUgraph handle, const CUgraphNode* nodes, size_t count) : entry(Needs::driver) {
    graph = reinterpret_cast<Graph*>(handle);
    status = !entry ? entry.status() : graphs().has(graph) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && nodes != nullptr; ++i) dependencies.push_back(reinterpret_cast<Node*>(nodes[i]));
  }
  CUresult add(CUgraphNode* out, CUgraphNodeType type, std::function<void()> work = {}) {
    if (status != CUDA_SUCCESS) return status;
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    node = &add_node(*graph, type, std::move(dependencies));
    node->work = std::move(work);
    *out = reinterpret_cast<CUgraphNode>(node);
    return CUDA_SUCCESS;
  }
  Entry entry;
  Graph* graph;
  std::vector<Node*> dependencies;
  Node* node = nullptr;
  CUresult status;
};

CUresult add_alloc(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies, size_t count,
                   CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  Adding adding(handle, dependencies, count);
  if (adding.status != CUDA_SUCCESS) return adding.status;
  if (out == nullptr || params == nullptr || params->bytesize == 0) return CUDA_ERROR_INVALID_VALUE;
  Node* node = nullptr;
  const CUresult status = add_alloc_node(*adding.graph, adding.dependencies, *params, node);
  if (status == CUDA_SUCCESS) *out = reinterpret_cast<CUgraphNode>(node);
  return status;
}

CUresult add_free(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies, size_t count,
                  CUdeviceptr address) {
  Adding adding(handle, dependencies, count);
  if (address == 0) return CUDA_ERROR_INVALID_VALUE;
  const CUresult status = adding.add(out, CU_GRAPH_NODE_TYPE_MEM_FREE);
  if (status == CUDA_SUCCESS) adding.node->freed = address;
  return status;
}

/// A graph with nodes of its own that are those of another.
Graph* copy_of(const Graph& graph) {
  Graph* clone = new_graph();
  std::map<const Node*, Node*> twin;
  for (const Node& node : graph.nodes) {
    Node& copy = clone->nodes.emplace_back(node);
    copy.graph = clone;
    twin[&node] = &copy;
    for (Node*& dependency : copy.dependencies) dependency = twin[dependency];
  }
  return clone;
}

CUresult add_child(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies, size_t count, CUgraph child) {
  Adding adding(handle, dependencies, count);
  if (!graphs().has(child)) return CUDA_ERROR_INVALID_VALUE;
  const CUresult status = adding.add(out, CU_GRAPH_NODE_TYPE_GRAPH);
  if (status == CUDA_SUCCESS) adding.node->child = child_of(*reinterpret_cast<Graph*>(child));
  return status;
}

CUresult add_any(CUgraphNode* out, CUgraph handle, const CUgraphNode* dependencies, size_t count,
                 CUgraphNodeParams* params) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  switch (params->type) {
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC: {
      CUDA_MEM_ALLOC_NODE_PARAMS plain{};
      plain.poolProps = params->alloc.poolProps;
      plain.accessDescs = params->alloc.accessDescs;
      plain.accessDescCount = params->alloc.accessDescCount;
      plain.bytesize = params->alloc.bytesize;
      const CUresult status = add_alloc(out, handle, dependencies, count, &plain);
      params->alloc.dptr = plain.dptr;
      return status;
    }
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      return add_free(out, handle, dependencies, count, params->free.dptr);
    case CU_GRAPH_NODE_TYPE_KERNEL:
    case CU_GRAPH_NODE_TYPE_EMPTY:
      return Adding(handle, dependencies, count).add(out, params->type);
    case CU_GRAPH_NODE_TYPE_HOST: {
      const auto function = params->host.fn;
      void* const data = params->host.userData;
      return Adding(handle, dependencies, count).add(out, params->type, [=] { function(data); });
    }
    case CU_GRAPH_NODE_TYPE_GRAPH:
      return add_child(out, handle, dependencies, count, params->graph.graph);
    default:
      return NOT_SIMULATED("cuGraphAddNode with this type of node");
  }
}

CUresult list_nodes(const std::vector<Node*>& found, CUgraphNode* nodes, size_t* count) {
  if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (nodes != nullptr) {
    for (size_t i = 0; i < std::min(*count, found.size()); ++i) nodes[i] = reinterpret_cast<CUgraphNode>(found[i]);
  }
  *count = found.size();
  return CUDA_SUCCESS;
}

CUresult nodes_of(CUgraph handle, CUgraphNode* nodes, size_t* count, bool only_roots) {
  const Adding adding(handle, nullptr, 0);
  if (adding.status != CUDA_SUCCESS) return adding.status;
  std::vector<Node*> found;
  for (Node& node : adding.graph->nodes) {
    if (!only_roots || node.dependencies.empty()) found.push_back(&node);
  }
  return list_nodes(found, nodes, count);
}

}  // namespace

namespace vramtrack::sim {

Graph* new_graph() { return graphs().add(new Graph); }

void destroy_graph(Graph* graph) {
  if (graphs().remove(graph)) delete graph;
}

std::shared_ptr<Graph> child_of(const Graph& graph) { return {copy_of(graph), destroy_graph}; }

std::function<void()> fill_work(const CUDA_MEMSET_NODE_PARAMS& fill) {
  return [fill] {
    for (size_t row = 0; row < fill.height; ++row)
      fill_bytes(fill.dst + row * fill.pitch, fill.value, fill.elementSize, fill.width);
  };
}
std::function<void()> copy_work(const CUDA_MEMCPY3D& box) {
  return [box] { cuMemcpy3D_v2(&box); };
}

GraphRange::~GraphRange() {
  if (address != 0) driver().backing.give(device, address, span, true);
}

Node& add_node(Graph& graph, CUgraphNodeType type, std::vector<Node*> dependencies) {
  Node& node = graph.nodes.emplace_back();
  node.graph = &graph;
  node.type = type;
  node.dependencies = std::move(dependencies);
  return node;
}

CUresult add_alloc_node(Graph& graph, std::vector<Node*> dependencies, CUDA_MEM_ALLOC_NODE_PARAMS& params, Node*& out) {
  const CUmemLocation& location = params.poolProps.location;
  if (location.type != CU_MEM_LOCATION_TYPE_DEVICE || !valid_device(location.id)) return CUDA_ERROR_INVALID_VALUE;
  auto range = std::make_shared<GraphRange>();
  range->device = location.id;
  range->bytes = params.bytesize;
  range->span = round_up(params.bytesize, 512);
  range->address = driver().backing.take(location.id, range->span, 512);
  if (range->address == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  params.dptr = range->address;
  Node& node = add_node(graph, CU_GRAPH_NODE_TYPE_MEM_ALLOC, std::move(dependencies));
  node.range = std::move(range);
  node.alloc = params;
  out = &node;
  return CUDA_SUCCESS;
}

}  // namespace vramtrack::sim

extern "C" {

CUresult cuGraphCreate(CUgraph* out, unsigned) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUgraph>(new_graph());
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph handle) {
  const Adding adding(handle, nullptr, 0);
  if (adding.status == CUDA_SUCCESS) destroy_graph(adding.graph);
  return adding.status;
}

CUresult cuGraphClone(CUgraph* out, CUgraph handle) {
  const Adding adding(handle, nullptr, 0);
  if (adding.status != CUDA_SUCCESS) return adding.status;
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = reinterpret_cast<CUgraph>(copy_of(*adding.graph));
  return CUDA_SUCCESS;
}

CUresult cuGraphAddKernelNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                              const CUDA_KERNEL_NODE_PARAMS_v1*) {
  return Adding(graph, dependencies, count).add(out, CU_GRAPH_NODE_TYPE_KERNEL);
}
CUresult cuGraphAddKernelNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                 const CUDA_KERNEL_NODE_PARAMS*) {
  return Adding(graph, dependencies, count).add(out, CU_GRAPH_NODE_TYPE_KERNEL);
}
CUresult cuGraphAddEmptyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count) {
  return Adding(graph, dependencies, count).add(out, CU_GRAPH_NODE_TYPE_EMPTY);
}
CUresult cuGraphAddEventRecordNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                   CUevent) {
  return Adding(graph, dependencies, count).add(out, CU_GRAPH_NODE_TYPE_EVENT_RECORD);
}
CUresult cuGraphAddEventWaitNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                 CUevent) {
  return Adding(graph, dependencies, count).add(out, CU_GRAPH_NODE_TYPE_WAIT_EVENT);
}
CUresult cuGraphAddHostNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                            const CUDA_HOST_NODE_PARAMS* params) {
  if (params == nullptr || params->fn == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const auto function = params->fn;
  void* const data = params->userData;
  return Adding(graph, dependencies, count).add(out, CU_GRAPH_NODE_TYPE_HOST, [=] { function(data); });
}
CUresult cuGraphAddMemsetNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                              const CUDA_MEMSET_NODE_PARAMS* params, CUcontext) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return Adding(graph, dependencies, count).add(out, CU_GRAPH_NODE_TYPE_MEMSET, fill_work(*params));
}

CUresult cuGraphAddMemcpyNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                              const CUDA_MEMCPY3D* params, CUcontext) {
  if (params == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return Adding(graph, dependencies, count).add(out, CU_GRAPH_NODE_TYPE_MEMCPY, copy_work(*params));
}
// Kernels do nothing, with these arguments or those.
CUresult cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1*) {
  return node == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS*) {
  return node == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGraphAddChildGraphNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                  CUgraph child) {
  return add_child(out, graph, dependencies, count, child);
}
CUresult cuGraphChildGraphNodeGetGraph(CUgraphNode handle, CUgraph* child) {
  const auto* node = reinterpret_cast<Node*>(handle);
  if (node == nullptr || child == nullptr || node->child == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *child = reinterpret_cast<CUgraph>(node->child.get());
  return CUDA_SUCCESS;
}

CUresult cuGraphAddMemAllocNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  return add_alloc(out, graph, dependencies, count, params);
}
CUresult cuGraphAddMemFreeNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                               CUdeviceptr address) {
  return add_free(out, graph, dependencies, count, address);
}
CUresult cuGraphAddNode(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                        CUgraphNodeParams* params) {
  return add_any(out, graph, dependencies, count, params);
}
CUresult cuGraphAddNode_v2(CUgraphNode* out, CUgraph graph, const CUgraphNode* dependencies, const CUgraphEdgeData*,
                           size_t count, CUgraphNodeParams* params) {
  return add_any(out, graph, dependencies, count, params);
}

CUresult cuGraphMemAllocNodeGetParams(CUgraphNode handle, CUDA_MEM_ALLOC_NODE_PARAMS* params) {
  const auto* node = reinterpret_cast<Node*>(handle);
  if (node == nullptr || params == nullptr || node->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *params = node->alloc;
  return CUDA_SUCCESS;
}
CUresult cuGraphMemFreeNodeGetParams(CUgraphNode handle, CUdeviceptr* address) {
  const auto* node = reinterpret_cast<Node*>(handle);
  if (node == nullptr || address == nullptr || node->type != CU_GRAPH_NODE_TYPE_MEM_FREE) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *address = node->freed;
  return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType* type) {
  if (handle == nullptr || type == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *type = reinterpret_cast<Node*>(handle)->type;
  return CUDA_SUCCESS;
}
CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  return nodes_of(graph, nodes, count, false);
}
CUresult cuGraphGetRootNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  return nodes_of(graph, nodes, count, true);
}
CUresult cuGraphNodeGetDependencies(CUgraphNode handle, CUgraphNode* nodes, size_t* count) {
  if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return list_nodes(reinterpret_cast<Node*>(handle)->dependencies, nodes, count);
}
CUresult cuGraphNodeGetDependencies_v2(CUgraphNode handle, CUgraphNode* nodes, CUgraphEdgeData* edges, size_t* count) {
  if (edges != nullptr && count != nullptr) std::fill_n(edges, *count, CUgraphEdgeData{});
  return cuGraphNodeGetDependencies(handle, nodes, count);
}

CUresult cuGraphDebugDotPrint(CUgraph handle, const char* path, unsigned) {
  const Adding adding(handle, nullptr, 0);
  if (adding.status != CUDA_SUCCESS) return adding.status;
  std::FILE* file = path != nullptr ? std::fopen(path, "we") : nullptr;
  if (file == nullptr) return CUDA_ERROR_OPERATING_SYSTEM;
  std::fprintf(file, "digraph dot {\n");
  for (const Node& node : adding.graph->nodes) {
    std::fprintf(file, "\"%p\" [label=\"type %d\"];\n", static_cast<const void*>(&node), node.type);
    for (const Node* dependency : node.dependencies) {
      std::fprintf(file, "\"%p\" -> \"%p\";\n", static_cast<const void*>(dependency), static_cast<const void*>(&node));
    }
  }
  std::fprintf(file, "}\n");
  std::fclose(file);
  return CUDA_SUCCESS;
}
}
