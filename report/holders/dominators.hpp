// Who alone keeps what alive: the dominator tree of a graph, by the semi-dominators of Lengauer and Tarjan found in one
// pass (Georgiadis' SNCA). Pure. Nothing recurs, however deep a chain of autograd nodes is: library versions do, once
// for each node of the longest path (docs/decisions/dominators.md).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace vramtrack::holders {

inline constexpr std::uint32_t no_node = 0xffffffffu;

/// The successors (or predecessors) of each node, in one array.
class Adjacency {
 public:
  Adjacency() = default;
  /// Edges (from, to), any order; order among the edges of one node is kept. `backward`: lists (to, from) instead.
  Adjacency(std::size_t nodes, std::span<const std::pair<std::uint32_t, std::uint32_t>> edges, bool backward = false);
  std::span<const std::uint32_t> of(std::uint32_t node) const {
    return {targets_.data() + first_[node], first_[node + 1] - first_[node]};
  }
  std::size_t nodes() const { return first_.size() - 1; }

 private:
  std::vector<std::uint32_t> first_{0}, targets_;
};

struct Dominators {
  std::vector<std::uint32_t> parent;  // immediate dominator; no_node: of the root and of what it does not reach
  std::vector<std::uint32_t> order;   // what the root reaches, each after its dominator; the root first
};

Dominators dominators(const Adjacency& successors, const Adjacency& predecessors, std::uint32_t root);

}  // namespace vramtrack::holders
