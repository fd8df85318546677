// Decodes a retained-memory graph (heap_graph.hpp). Runs in the tools. Tolerant: what is cut off or damaged makes the
// graph smaller; an edge to a node that is not there is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contract/heap_graph.hpp"

namespace vramtrack::trace {

struct HeapGraph {
  HeapGraphRecord record{};
  std::vector<GraphNode> nodes;
  std::vector<GraphEdge> edges;      // in order of `from`; from and to are always indices of `nodes`
  std::vector<std::string> strings;  // by id; 0 is ""
  std::vector<std::string> notes;    // what the capture has to say of itself
  bool damaged = false;              // a part of it could not be decoded

  GraphMoment moment() const { return static_cast<GraphMoment>(record.moment); }
  const std::string& string(std::uint64_t id) const;  // "" when unknown

  /// The edges that begin at a node.
  std::span<const GraphEdge> edges_of(std::uint32_t node) const;

  /// Label of an edge as a reader of the code writes it behind the holder: `.weight`, `['x']`, `[3]`, ` local loss`.
  std::string label(const GraphEdge& edge) const;
};

/// `payload`: of a heap_graph record. False when not even its fixed part can be read.
bool read_heap_graph(std::span<const std::byte> payload, HeapGraph& graph);

/// Names of the rows in heap_graph.def: `out_of_memory`, `graph_node`, `next_function`; "?" when unknown.
std::string_view name_of(GraphMoment moment);
std::string_view name_of(GraphNodeKind kind);
std::string_view name_of(GraphEdgeKind kind);

}  // namespace vramtrack::trace
