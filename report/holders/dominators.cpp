#include "report/holders/dominators.hpp"

#include <algorithm>

namespace vramtrack::holders {

Adjacency::Adjacency(std::size_t nodes, std::span<const std::pair<std::uint32_t, std::uint32_t>> edges, bool backward)
    : first_(nodes + 1), targets_(edges.size()) {
  for (const auto& [from, to] : edges) ++first_[(backward ? to : from) + 1];
  for (std::size_t i = 1; i <= nodes; ++i) first_[i] += first_[i - 1];
  std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
  for (const auto& [from, to] : edges) targets_[next[backward ? to : from]++] = backward ? from : to;
}

namespace {

/// Works on depth-first numbers: 0 is the root.
class Search {
 public:
  Search(const Adjacency& successors, const Adjacency& predecessors, std::uint32_t root) {
    number_.assign(successors.nodes(), no_node);
    visit(successors, root);
    find_semidominators(predecessors);
  }

  Dominators result() && {
    // A dominator is the nearest common ancestor of its semi-dominator and its parent's dominator.
    std::vector<std::uint32_t> dominator = parent_;
    for (std::uint32_t i = 1; i < dominator.size(); ++i)
      while (dominator[i] > semi_[i]) dominator[i] = dominator[dominator[i]];
    Dominators found;
    found.parent.assign(number_.size(), no_node);
    for (std::uint32_t i = 1; i < dominator.size(); ++i) found.parent[node_[i]] = node_[dominator[i]];
    found.order = std::move(node_);
    return found;
  }

 private:
  void visit(const Adjacency& successors, std::uint32_t root) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> stack{{root, no_node}};  // node, number of its parent
    while (!stack.empty()) {
      const auto [node, parent] = stack.back();
      stack.pop_back();
      if (number_[node] != no_node) continue;
      const auto number = static_cast<std::uint32_t>(node_.size());
      number_[node] = number;
      node_.push_back(node);
      parent_.push_back(parent == no_node ? 0 : parent);
      const std::span<const std::uint32_t> next = successors.of(node);
      for (std::size_t i = next.size(); i-- > 0;)
        if (number_[next[i]] == no_node) stack.push_back({next[i], number});
    }
  }

  void find_semidominators(const Adjacency& predecessors) {
    const auto count = static_cast<std::uint32_t>(node_.size());
    semi_.resize(count);
    for (std::uint32_t i = 0; i < count; ++i) semi_[i] = i;
    best_ = semi_;
    ancestor_ = parent_;
    for (std::uint32_t i = count; i-- > 1;) {
      for (const std::uint32_t before : predecessors.of(node_[i]))
        if (number_[before] != no_node) semi_[i] = std::min(semi_[i], semi_[lowest(number_[before], i)]);
    }
  }

  /// Of the ancestors of `from` that have a number above `last` the one with the lowest semi-dominator; shortens the
  /// way for the next question.
  std::uint32_t lowest(std::uint32_t from, std::uint32_t last) {
    if (from <= last) return from;
    way_.clear();
    for (std::uint32_t at = from; ancestor_[at] > last; at = ancestor_[at]) way_.push_back(at);
    for (std::size_t i = way_.size(); i-- > 0;) {
      const std::uint32_t at = way_[i], above = ancestor_[at];
      if (semi_[best_[above]] < semi_[best_[at]]) best_[at] = best_[above];
      ancestor_[at] = ancestor_[above];
    }
    return best_[from];
  }

  std::vector<std::uint32_t> number_, node_, parent_, semi_, best_, ancestor_, way_;
};

}  // namespace

Dominators dominators(const Adjacency& successors, const Adjacency& predecessors, std::uint32_t root) {
  return Search(successors, predecessors, root).result();
}

}  // namespace vramtrack::holders
