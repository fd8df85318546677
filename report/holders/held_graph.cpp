#include "report/holders/held_graph.hpp"

#include <algorithm>
#include <queue>

namespace vramtrack::holders {

bool HeldGraph::is_namespace(std::uint32_t node) const {
  if (!is_node(node)) return true;
  const GraphNodeKind kind = graph->nodes[node].kind;
  return kind == GraphNodeKind::module || kind == GraphNodeKind::frame || kind == GraphNodeKind::interpreter;
}

bool is_module_table(const std::string& name) {
  return name == "_parameters" || name == "_buffers" || name == "_modules";
}

namespace {

using Edges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

constexpr std::uint32_t unreached = ~0u;

/// What a way costs: the code of the user before that of libraries, plain references before those of autograd.
std::uint32_t cost_of_root(const GraphNode& node) {
  const bool user = (node.flags & trace::graph_user_code) != 0;
  switch (node.kind) {
    case GraphNodeKind::module:
      return (node.flags & trace::graph_main) != 0 ? 0 : user ? 4 : 60;
    case GraphNodeKind::frame:
      return (node.flags & trace::graph_module_frame) != 0 && user ? 1 : user ? 2 : 40;
    case GraphNodeKind::interpreter:
      return 30;
    case GraphNodeKind::cxx_root:
      return 50;
    default:
      return 45;
  }
}

std::uint32_t cost_of_edge(const trace::HeapGraph& graph, const GraphEdge& edge) {
  // A parameter is its module's, although an optimizer is nearer to it.
  const std::uint64_t flags = graph.nodes[edge.from].flags;
  if ((flags & trace::graph_optimizer) != 0) return 40;
  switch (edge.kind) {
    case GraphEdgeKind::attribute:
      if ((flags & trace::graph_nn_module) != 0 && is_module_table(graph.string(edge.label))) return 1;
      [[fallthrough]];
    case GraphEdgeKind::key:
    case GraphEdgeKind::local:
    case GraphEdgeKind::global:
    case GraphEdgeKind::closure: {
      const std::string& name = graph.string(edge.label);
      return name.starts_with('_') ? 4 : 2;
    }
    case GraphEdgeKind::key_number:
    case GraphEdgeKind::key_other:
    case GraphEdgeKind::index:
    case GraphEdgeKind::member:
    case GraphEdgeKind::default_value:
    case GraphEdgeKind::storage:
    case GraphEdgeKind::grad:
    case GraphEdgeKind::context:
      return 2;
    case GraphEdgeKind::held:
      return 3;
    case GraphEdgeKind::class_of:
      return 20;
    case GraphEdgeKind::slot:
    case GraphEdgeKind::hook:
      return 5;
    case GraphEdgeKind::grad_fn:
    case GraphEdgeKind::next_function:
    case GraphEdgeKind::saved:
    case GraphEdgeKind::variable:
    case GraphEdgeKind::accumulator:
    case GraphEdgeKind::base:
      return 12;
  }
  return 6;
}

class Builder {
 public:
  Builder(const trace::HeapGraph& graph, const std::vector<HeldBlock>& blocks) : graph_(graph) {
    held_.graph = &graph;
    held_.root = static_cast<std::uint32_t>(graph.nodes.size());
    held_.garbage = held_.root + 1;
    live_ = blocks;
    std::sort(live_.begin(), live_.end(), [](const auto& a, const auto& b) { return a.address < b.address; });
  }

  HeldGraph build() {
    for (std::uint32_t i = 0; i < held_.root; ++i)
      if (is_root(i)) edges_.push_back({held_.root, i});
    for (const GraphEdge& edge : graph_.edges)
      if ((edge.flags & trace::graph_borrowed) == 0) edges_.push_back({edge.from, edge.to});
    link();
    pass_over_calls();
    root_the_unreached();
    link();
    held_.dominators = dominators(held_.successors, held_.predecessors, held_.root);
    weigh();
    find_ways();
    return std::move(held_);
  }

 private:
  std::size_t size() const { return graph_.nodes.size() + 2; }

  void link() {
    held_.successors = Adjacency(size(), edges_);
    held_.predecessors = Adjacency(size(), edges_, true);
  }

  /// Visits what is reached from `start` by nodes that were not yet: each once.
  template <typename Visit>
  void each_new(std::uint32_t start, std::vector<bool>& seen, Visit visit) const {
    std::vector<std::uint32_t> stack{start};
    seen[start] = true;
    while (!stack.empty()) {
      const std::uint32_t node = stack.back();
      stack.pop_back();
      visit(node);
      for (const std::uint32_t next : held_.successors.of(node))
        if (!seen[next]) {
          seen[next] = true;
          stack.push_back(next);
        }
    }
  }

  void mark(std::uint32_t start, std::vector<bool>& seen) const {
    each_new(start, seen, [](std::uint32_t) {});
  }

  bool is_root(std::uint32_t node) const {
    const GraphNode& at = graph_.nodes[node];
    return (at.flags & trace::graph_root) != 0 || at.kind == GraphNodeKind::cxx_root;
  }

  /// Whether a root is a call's own: a frame of a library in the thread that took the graph, or what only native code
  /// refers to while a statement runs. Both let go when the call returns.
  bool is_of_a_call(std::uint32_t node) const {
    const GraphNode& at = graph_.nodes[node];
    if (at.kind == GraphNodeKind::frame)
      return at.thread == 0 && (at.flags & trace::graph_root) != 0 &&
             (at.flags & (trace::graph_user_code | trace::graph_module_frame | trace::graph_suspended)) == 0;
    return held_.is_held_unseen(node) && held_.predecessors.of(node).empty();
  }

  /// The arguments of calls that run hold what the user's own variables hold, too, for a moment: such a reference is
  /// nobody's to let go, and counts only for what nothing else holds. Of the calls an outer one comes before those that
  /// it makes, and all frames before native code.
  void pass_over_calls() {
    turn_.assign(size(), unreached);
    if (graph_.moment() == trace::GraphMoment::exit) return;
    std::vector<bool> reached(size());
    std::vector<std::uint32_t> calls;
    for (std::uint32_t i = 0; i < held_.root; ++i) {
      if (is_of_a_call(i))
        calls.push_back(i);
      else if (is_root(i) && !reached[i])
        each_new(i, reached, [&](std::uint32_t node) { turn_[node] = 0; });
    }
    std::ranges::stable_sort(calls, std::ranges::greater(), [&](std::uint32_t call) { return standing(call); });
    std::uint32_t turn = 0;
    for (const std::uint32_t call : calls)
      if (++turn; !reached[call]) each_new(call, reached, [&](std::uint32_t node) { turn_[node] = turn; });
    if (std::erase_if(edges_, [&](const auto& edge) { return is_passed_over(edge.first, edge.second); }) != 0) link();
  }

  /// The higher, the rather what a call has is its own. How torch calls an nn.Module says less than what it calls.
  std::uint64_t standing(std::uint32_t call) const {
    const GraphNode& at = graph_.nodes[call];
    if (at.kind != GraphNodeKind::frame) return 0;
    return graph_.string(at.name).ends_with("_call_impl") ? 1 : 2 + at.depth;
  }

  bool is_passed_over(std::uint32_t from, std::uint32_t to) const {
    return turn_[from] != unreached && turn_[from] > turn_[to];
  }

  /// Finds nodes that reach all that no root does: a depth-first search from each in turn leaves, in reverse, exactly
  /// one node of each cycle that nothing else leads to.
  void root_the_unreached() {
    std::vector<bool> seen(size());
    mark(held_.root, seen);
    std::vector<std::uint32_t> finished = order_of_end(seen);
    std::vector<bool> reached(size());
    mark(held_.root, reached);
    bool any = false;
    for (std::size_t i = finished.size(); i-- > 0;) {
      if (reached[finished[i]]) continue;
      // What nothing that was seen refers to is no cycle: native code has the reference, or a statement that runs.
      const bool unseen = held_.is_held_unseen(finished[i]) && held_.predecessors.of(finished[i]).empty();
      edges_.push_back({unseen ? held_.root : held_.garbage, finished[i]});
      mark(finished[i], reached);
      any = any || !unseen;
    }
    if (any) edges_.push_back({held_.root, held_.garbage});
  }

  std::vector<std::uint32_t> order_of_end(std::vector<bool>& seen) const {
    std::vector<std::uint32_t> finished;
    std::vector<std::pair<std::uint32_t, std::size_t>> stack;
    for (std::uint32_t start = 0; start < held_.root; ++start) {
      if (seen[start]) continue;
      seen[start] = true;
      stack.push_back({start, 0});
      while (!stack.empty()) {
        const std::uint32_t node = stack.back().first;
        const auto next = held_.successors.of(node);
        if (stack.back().second == next.size()) {
          finished.push_back(node);
          stack.pop_back();
          continue;
        }
        const std::uint32_t to = next[stack.back().second++];
        if (seen[to]) continue;
        seen[to] = true;
        stack.push_back({to, 0});
      }
    }
    return finished;
  }

  /// The live block in which a storage lies, or what the graph says of it.
  HeldBlock block_of(const GraphNode& node) const {
    auto at = std::upper_bound(live_.begin(), live_.end(), node.data_address,
                               [](std::uint64_t address, const HeldBlock& block) { return address < block.address; });
    if (at != live_.begin() && node.data_address - (--at)->address < at->bytes) return *at;
    HeldBlock block;
    block.address = node.data_address;
    block.bytes = node.block_bytes != 0 ? node.block_bytes : node.bytes;
    block.step = node.step != 0 ? static_cast<std::uint32_t>(node.step - 1) : 0;
    block.site = node.site != 0 ? static_cast<std::uint32_t>(node.site - 1) : no_node;
    block.device = static_cast<std::int16_t>(node.device == 0 ? 0 : node.device - 1);
    block.time = -1;
    return block;
  }

  void weigh() {
    held_.block_of.assign(size(), no_node);
    held_.retained.assign(size(), 0);
    held_.retained_count.assign(size(), 0);
    std::vector<std::pair<std::uint64_t, std::uint32_t>> taken;  // a block counts once
    for (std::uint32_t i = 0; i < held_.root; ++i) {
      const GraphNode& node = graph_.nodes[i];
      if (node.kind != GraphNodeKind::storage || node.device == 0) continue;
      if ((node.flags & trace::graph_segment) != 0)
        continue;  // the allocator's: the blocks in it are nodes of their own
      const HeldBlock block = block_of(node);
      if (block.bytes == 0) continue;
      taken.push_back({block.address, static_cast<std::uint32_t>(held_.blocks.size())});
      held_.block_of[i] = taken.back().second;
      held_.blocks.push_back(block);
    }
    std::sort(taken.begin(), taken.end());
    std::vector<bool> twice(held_.blocks.size());
    for (std::size_t i = 1; i < taken.size(); ++i)
      if (taken[i].first == taken[i - 1].first) twice[taken[i].second] = true;
    const std::vector<std::uint32_t>& order = held_.dominators.order;
    for (std::size_t i = order.size(); i-- > 0;) {
      const std::uint32_t node = order[i];
      const std::uint32_t block = held_.block_of[node];
      if (block != no_node && !twice[block]) {
        held_.retained[node] += held_.blocks[block].bytes;
        ++held_.retained_count[node];
      }
      const std::uint32_t above = held_.dominators.parent[node];
      if (above == no_node) continue;
      held_.retained[above] += held_.retained[node];
      held_.retained_count[above] += held_.retained_count[node];
    }
  }

  void find_ways() {
    held_.way.assign(size(), no_node);
    held_.way_edge.assign(size(), no_node);
    std::vector<std::uint64_t> cost(size(), ~0ull);
    using Entry = std::pair<std::uint64_t, std::uint32_t>;
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
    const auto offer = [&](std::uint32_t to, std::uint64_t price, std::uint32_t from, std::uint32_t edge) {
      if (price >= cost[to]) return;
      cost[to] = price;
      held_.way[to] = from;
      held_.way_edge[to] = edge;
      queue.push({price, to});
    };
    for (const std::uint32_t node : held_.successors.of(held_.root))
      if (held_.is_node(node))
        offer(node, held_.is_held_unseen(node) ? 1u << 29 : cost_of_root(graph_.nodes[node]), no_node, no_node);
    for (const std::uint32_t node : held_.successors.of(held_.garbage))
      if (held_.is_node(node)) offer(node, 1u << 30, no_node, no_node);
    while (!queue.empty()) {
      const auto [price, node] = queue.top();
      queue.pop();
      if (price != cost[node]) continue;
      const auto first = static_cast<std::uint32_t>(graph_.edges_of(node).data() - graph_.edges.data());
      const std::span<const GraphEdge> edges = graph_.edges_of(node);
      for (std::uint32_t i = 0; i < edges.size(); ++i)
        if ((edges[i].flags & trace::graph_borrowed) == 0 && !is_passed_over(node, edges[i].to))
          offer(edges[i].to, price + cost_of_edge(graph_, edges[i]), node, first + i);
    }
  }

  const trace::HeapGraph& graph_;
  HeldGraph held_;
  std::vector<HeldBlock> live_;
  Edges edges_;
  std::vector<std::uint32_t> turn_;  // of the call that reaches a node first; 0 of what more than calls hold
};

}  // namespace

HeldGraph hold(const trace::HeapGraph& graph, const std::vector<HeldBlock>& blocks) {
  return Builder(graph, blocks).build();
}

}  // namespace vramtrack::holders
