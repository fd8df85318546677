// Graphs made by hand, as a capture would write them.
#pragma once

#include <algorithm>
#include <string>

#include "contract/heap_graph_reader.hpp"
#include "report/holders/held_graph.hpp"

namespace vramtrack {

class MadeGraph {
 public:
  MadeGraph() { graph.strings.emplace_back(); }

  trace::GraphString string(const std::string& text) {
    if (text.empty()) return 0;
    graph.strings.push_back(text);
    return static_cast<trace::GraphString>(graph.strings.size() - 1);
  }
  std::uint32_t node(trace::GraphNodeKind kind, const std::string& type, std::uint64_t flags = 0) {
    trace::GraphNode node;
    node.kind = kind;
    node.flags = flags;
    node.type_name = string(type);
    graph.nodes.push_back(node);
    return static_cast<std::uint32_t>(graph.nodes.size() - 1);
  }
  std::uint32_t main_module(const std::string& file = "/home/user/train.py") {
    const std::uint32_t at =
        node(trace::GraphNodeKind::module, "module", trace::graph_root | trace::graph_main | trace::graph_user_code);
    graph.nodes[at].name = string("__main__");
    graph.nodes[at].file = string(file);
    return at;
  }
  std::uint32_t frame(const std::string& function, const std::string& file = "/home/user/train.py",
                      int first_line = 1) {
    const std::uint32_t at = node(trace::GraphNodeKind::frame, "frame", trace::graph_root | trace::graph_user_code);
    graph.nodes[at].name = string(function);
    graph.nodes[at].file = string(file);
    graph.nodes[at].first_line = static_cast<std::uint64_t>(first_line);
    return at;
  }
  std::uint32_t object(const std::string& type) { return node(trace::GraphNodeKind::object, type); }
  std::uint32_t list() { return node(trace::GraphNodeKind::container, "list"); }
  /// A tensor with memory of its own at a new address; its block is in `blocks`.
  std::uint32_t tensor(std::uint64_t bytes, double time = 0, std::uint32_t step = 0) {
    const std::uint32_t at = node(trace::GraphNodeKind::tensor, "torch.Tensor");
    graph.nodes[at].bytes = bytes;
    const std::uint32_t memory = node(trace::GraphNodeKind::storage, "");
    trace::GraphNode& storage = graph.nodes[memory];
    storage.data_address = next_address;
    storage.bytes = bytes;
    storage.device = 1;
    blocks.push_back({next_address, bytes, time, step, 0, 0});
    next_address += 1 << 20;
    edge(at, memory, trace::GraphEdgeKind::storage);
    return at;
  }
  void edge(std::uint32_t from, std::uint32_t to, trace::GraphEdgeKind kind, const std::string& label = "") {
    edge(from, to, kind, std::uint64_t{string(label)});
  }
  void edge(std::uint32_t from, std::uint32_t to, trace::GraphEdgeKind kind, std::uint64_t label) {
    trace::GraphEdge made;
    made.from = from;
    made.to = to;
    made.kind = kind;
    made.label = label;
    graph.edges.push_back(made);
  }
  const trace::HeapGraph& done() {
    std::stable_sort(graph.edges.begin(), graph.edges.end(),
                     [](const auto& a, const auto& b) { return a.from < b.from; });
    return graph;
  }

  trace::HeapGraph graph;
  std::vector<holders::HeldBlock> blocks;
  std::uint64_t next_address = 0x7f0000000000;
};

}  // namespace vramtrack
