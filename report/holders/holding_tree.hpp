// The dominator tree of a held graph in the order of a walk, so that what is below a node is a range. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "report/holders/held_graph.hpp"

namespace vramtrack::holders {

class HoldingTree {
 public:
  /// `held` must outlive it.
  explicit HoldingTree(const HeldGraph& held);

  /// What a node alone holds, directly.
  auto below(std::uint32_t node) const { return children_.of(node); }

  /// The child of `top` below which `node` is; `top` itself when it is that.
  std::uint32_t branch(std::uint32_t top, std::uint32_t node) const;

  /// Calls apply(node) for the storages that only this node keeps alive.
  template <class Do>
  void each_storage(std::uint32_t node, Do&& apply) const {
    for (std::uint32_t i = begin_[node]; i < end_[node]; ++i) apply(storages_[i]);
  }

  std::vector<HeldBlock> blocks_below(std::uint32_t node) const;

 private:
  const HeldGraph& held_;
  Adjacency children_;
  std::vector<std::uint32_t> begin_, end_, storages_;
};

}  // namespace vramtrack::holders
