// CUDA graphs as far as memory is concerned: nodes in the order in which they were added (captures and graph APIs both
// add a node after its dependencies), memory nodes with addresses fixed when the node is made.
#pragma once

#include <list>

#include "sim/driver/capture.hpp"

namespace vramtrack::sim {

/// The address range of one memory node; it goes back when the last graph that knows it is gone.
struct GraphRange {
  int device = 0;
  std::uint64_t address = 0, bytes = 0, span = 0;
  ~GraphRange();
};

struct Node {
  Graph* graph = nullptr;
  CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
  std::vector<Node*> dependencies;
  std::function<void()> work;          // copies, fills
  std::shared_ptr<GraphRange> range;   // memory nodes: what is allocated
  CUDA_MEM_ALLOC_NODE_PARAMS alloc{};  // allocation nodes
  CUdeviceptr freed = 0;               // free nodes
  CUhostFn host = nullptr;
  void* host_data = nullptr;
  std::shared_ptr<Graph> child;  // child graph nodes: a copy of their own
};

struct Graph {
  std::list<Node> nodes;
  bool owned_by_capture = false;
};

struct GraphExec {
  std::list<Node> nodes;
  Context* context = nullptr;
  bool frees_before_launch = false;  // what its last launch has left allocated
};

Graph* new_graph();
void destroy_graph(Graph* graph);
/// What a child graph node holds: later changes of the graph are not seen. The driver's lock is held.
std::shared_ptr<Graph> child_of(const Graph& graph);
/// What memory nodes do.
std::function<void()> fill_work(const CUDA_MEMSET_NODE_PARAMS& fill);
std::function<void()> copy_work(const CUDA_MEMCPY3D& box);
/// Takes every stream out of a capture that ends (streams.cpp).
void leave_capture(const Capture* capture);

Node& add_node(Graph& graph, CUgraphNodeType type, std::vector<Node*> dependencies);
/// A memory allocation node; CUDA_ERROR_OUT_OF_MEMORY when there is no address space for it.
CUresult add_alloc_node(Graph& graph, std::vector<Node*> dependencies, CUDA_MEM_ALLOC_NODE_PARAMS& params, Node*& out);

}  // namespace vramtrack::sim
