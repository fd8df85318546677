#include "report/holders/cycle.hpp"

#include <algorithm>
#include <unordered_map>

#include "report/holders/way.hpp"

namespace vramtrack::holders {

namespace {

constexpr std::size_t most_nodes = 3000, most_candidates = 40, most_steps = 8;

/// How well a reader of the code knows the reference; 0: not at all. Of what grew, the container is meant that it grew
/// in: the children of a node, not its parent.
int rank_of(const HeldGraph& held, const GraphEdge& edge, bool grew) {
  const bool user = held.has(edge.from, trace::graph_user_code);
  switch (edge.kind) {
    case GraphEdgeKind::context:
      return 9;
    case GraphEdgeKind::attribute:
      return !user ? 2 : grew && held.is(edge.to, GraphNodeKind::container) ? 8 : 7;
    case GraphEdgeKind::grad:
      return 6;
    case GraphEdgeKind::closure:
      return user ? 5 : 3;
    case GraphEdgeKind::hook:
      return 4;
    case GraphEdgeKind::key:
    case GraphEdgeKind::local:
      return 3;
    case GraphEdgeKind::grad_fn:
    case GraphEdgeKind::slot:
    case GraphEdgeKind::index:
      return 1;
    default:
      return 0;
  }
}

std::string last_name(const std::string& text) { return text.substr(text.rfind('.') + 1); }

std::string class_of(const HeldGraph& held, std::uint32_t node) {
  const GraphNode& at = held.node(node);
  return last_name(held.text(at.type_name != 0 ? at.type_name : at.name));
}

std::string step_text(const HeldGraph& held, const GraphEdge& edge) {
  std::string from = class_of(held, edge.from);
  switch (edge.kind) {
    case GraphEdgeKind::slot:
    case GraphEdgeKind::storage:
      return from;
    default:
      return from + held.graph->label(edge);
  }
}

/// The call that adds to one of a torch.nn.Module's own tables; no statement of the script stores to these.
std::string registers(std::string_view table) {
  constexpr std::pair<std::string_view, std::string_view> calls[] = {
      {"_forward_hooks", "register_forward_hook"},
      {"_forward_pre_hooks", "register_forward_pre_hook"},
      {"_backward_hooks", "register_full_backward_hook"},
      {"_backward_pre_hooks", "register_full_backward_pre_hook"},
      {"_state_dict_hooks", "_register_state_dict_hook"},
      {"_load_state_dict_post_hooks", "register_load_state_dict_post_hook"},
  };
  for (const auto& [name, call] : calls)
    if (name == table) return std::string(call);
  return "";
}

class Finder {
 public:
  Finder(const HeldGraph& held, std::uint32_t start, bool grew) : held_(held), grew_(grew) { reach(start); }

  Cycle find() const {
    std::vector<std::pair<int, std::uint32_t>> candidates;  // rank, edge
    for (const std::uint32_t node : nodes_)
      each_edge(node, [&](std::uint32_t edge) {
        const int rank = rank_of(held_, held_.graph->edges[edge], grew_);
        if (rank > 0) candidates.push_back({rank, edge});
      });
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    if (candidates.size() > most_candidates) candidates.resize(most_candidates);
    for (const auto& [rank, edge] : candidates) {
      std::vector<std::uint32_t> ring = close(edge);
      if (!ring.empty()) return describe(ring);
    }
    return {};
  }

 private:
  template <class Do>
  void each_edge(std::uint32_t node, Do&& apply) const {
    const auto edges = held_.graph->edges_of(node);
    const auto first = static_cast<std::uint32_t>(edges.data() - held_.graph->edges.data());
    for (std::uint32_t i = 0; i < edges.size(); ++i)
      if ((edges[i].flags & trace::graph_borrowed) == 0) apply(first + i);
  }

  void reach(std::uint32_t start) {
    std::unordered_map<std::uint32_t, bool> seen{{start, true}};
    nodes_.push_back(start);
    for (std::size_t i = 0; i < nodes_.size() && nodes_.size() < most_nodes; ++i)
      each_edge(nodes_[i], [&](std::uint32_t edge) {
        const std::uint32_t to = held_.graph->edges[edge].to;
        if (seen.try_emplace(to, true).second) nodes_.push_back(to);
      });
  }

  /// Edges from `first` on that lead back to where it begins; empty: none do.
  std::vector<std::uint32_t> close(std::uint32_t first) const {
    const std::uint32_t goal = held_.graph->edges[first].from;
    std::unordered_map<std::uint32_t, std::uint32_t> by;  // node -> edge that led to it
    std::vector<std::uint32_t> queue{held_.graph->edges[first].to};
    by.emplace(queue.front(), first);
    for (std::size_t i = 0; i < queue.size() && queue.size() < most_nodes; ++i) {
      if (queue[i] == goal) break;
      each_edge(queue[i], [&](std::uint32_t edge) {
        const std::uint32_t to = held_.graph->edges[edge].to;
        if (by.try_emplace(to, edge).second) queue.push_back(to);
      });
    }
    if (!by.contains(goal)) return {};
    std::vector<std::uint32_t> ring;
    for (std::uint32_t at = goal;;) {
      const std::uint32_t edge = by.at(at);
      ring.push_back(edge);
      if (edge == first) break;
      at = held_.graph->edges[edge].from;
    }
    std::reverse(ring.begin(), ring.end());
    return ring;
  }

  Cycle describe(const std::vector<std::uint32_t>& ring) const {
    Cycle cycle;
    for (std::size_t i = 0; i < std::min(ring.size(), most_steps); ++i)
      cycle.text += step_text(held_, held_.graph->edges[ring[i]]) + " -> ";
    const GraphEdge& first = held_.graph->edges[ring.front()];
    cycle.text += ring.size() > most_steps ? "..." : class_of(held_, first.from);
    const std::string label = held_.text(static_cast<std::uint32_t>(first.label));
    const GraphNode& from = held_.node(first.from);
    if (held_.has(first.from, trace::graph_user_code)) cycle.file = held_.text(from.file);
    std::string owner = class_of(held_, first.from);
    cycle.step = {owner, label};
    cycle.object = !held_.is(first.to, GraphNodeKind::container);
    switch (first.kind) {
      case GraphEdgeKind::context:
        if (owner.ends_with("Backward")) owner.resize(owner.size() - 8);
        cycle.variable = "ctx." + label + " (" + owner + ")";
        cycle.of_class = owner;
        cycle.name = label;
        cycle.step.holder = owner + "Backward";
        cycle.step.member = "ctx." + label;
        break;
      case GraphEdgeKind::grad:
        cycle.step.member = ".grad.grad_fn";
        cycle.variable = "parameter.grad";
        cycle.search = "create_graph";
        break;
      case GraphEdgeKind::closure:
        cycle.variable = label;
        cycle.name = label;
        cycle.function = last_name(held_.text(from.name));
        break;
      default:
        cycle.variable = owner + held_.graph->label(first);
        cycle.of_class = owner;
        cycle.name = label;
        cycle.search = registers(label);
    }
    return cycle;
  }

  const HeldGraph& held_;
  bool grew_;
  std::vector<std::uint32_t> nodes_;
};

}  // namespace

Cycle describe_cycle(const HeldGraph& held, std::uint32_t start, bool grew) { return Finder(held, start, grew).find(); }

}  // namespace vramtrack::holders
