// A recorded graph (contract/heap_graph.hpp) made ready for questions: roots joined into one, cycles that nothing
// reaches given a root of their own, each node's device memory and when it was born, the best way to each node. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "contract/heap_graph_reader.hpp"
#include "report/holders/dominators.hpp"
#include "report/holders/run_functions.hpp"

namespace vramtrack::holders {

using trace::GraphEdge;
using trace::GraphEdgeKind;
using trace::GraphNode;
using trace::GraphNodeKind;

/// A live block of the moment of a graph.
struct HeldBlock {
  std::uint64_t address = 0, bytes = 0;
  double time = 0;  // seconds
  std::uint32_t step = 0, site = no_node;
  std::int16_t device = 0;
};

/// A graph with one root; nodes [0, graph.nodes.size()) are those of the recorded graph.
struct HeldGraph {
  const trace::HeapGraph* graph = nullptr;
  std::uint32_t root = 0;     // holds all roots
  std::uint32_t garbage = 0;  // holds one node of each cycle that no root reaches
  Adjacency successors, predecessors;
  Dominators dominators;
  std::vector<HeldBlock> blocks;              // one for each storage that is known to hold memory
  std::vector<std::uint32_t> block_of;        // node -> index of `blocks`, no_node: none
  std::vector<std::uint64_t> retained;        // bytes, by node
  std::vector<std::uint32_t> retained_count;  // blocks
  RunningFunctions running;                   // functions of the program's own code that run, as its text tells
  std::vector<std::uint32_t> way;             // node before it on the best way from a root; no_node: root itself
  std::vector<std::uint32_t> way_edge;        // index of graph->edges that leads there; no_node: none

  bool is_node(std::uint32_t node) const { return node < graph->nodes.size(); }
  const trace::GraphNode& node(std::uint32_t node) const { return graph->nodes[node]; }
  const std::string& text(std::uint32_t string) const { return graph->string(string); }
  bool has(std::uint32_t node, std::uint64_t flag) const {
    return is_node(node) && (graph->nodes[node].flags & flag) != 0;
  }
  /// By something that is no Python object, as far as its references are counted.
  bool is_held_unseen(std::uint32_t node) const { return has(node, trace::graph_unseen_holder); }
  bool is(std::uint32_t node, trace::GraphNodeKind kind) const {
    return is_node(node) && graph->nodes[node].kind == kind;
  }
  /// Whether a node is only a place where names stand: a module, a frame, a root of the interpreter or of this graph.
  bool is_namespace(std::uint32_t node) const;
};

/// Whether an attribute is one of the dicts in which a torch.nn.Module keeps what it has: nobody writes its name.
bool is_module_table(const std::string& name);

/// `blocks`: the live ones of that moment; a storage that is in none of them counts with what the graph says of it.
HeldGraph hold(const trace::HeapGraph& graph, const std::vector<HeldBlock>& blocks);

}  // namespace vramtrack::holders
