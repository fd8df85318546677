#include "report/holders/holding_tree.hpp"

#include <utility>

namespace vramtrack::holders {

HoldingTree::HoldingTree(const HeldGraph& held) : held_(held) {
  const std::size_t size = held.retained.size();
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (const std::uint32_t node : held.dominators.order)
    if (held.dominators.parent[node] != no_node) edges.push_back({held.dominators.parent[node], node});
  children_ = Adjacency(size, edges);
  begin_.assign(size, 0);
  end_.assign(size, 0);
  std::vector<std::pair<std::uint32_t, bool>> stack{{held.root, false}};
  while (!stack.empty()) {
    const auto [node, done] = stack.back();
    stack.pop_back();
    if (done) {
      end_[node] = static_cast<std::uint32_t>(storages_.size());
      continue;
    }
    begin_[node] = static_cast<std::uint32_t>(storages_.size());
    if (held.block_of[node] != no_node && held.retained[node] != 0) storages_.push_back(node);
    stack.push_back({node, true});
    for (const std::uint32_t child : children_.of(node)) stack.push_back({child, false});
  }
}

std::uint32_t HoldingTree::branch(std::uint32_t top, std::uint32_t node) const {
  while (node != top && node != no_node && held_.dominators.parent[node] != top) node = held_.dominators.parent[node];
  return node;
}

std::vector<HeldBlock> HoldingTree::blocks_below(std::uint32_t node) const {
  std::vector<HeldBlock> blocks;
  each_storage(node, [&](std::uint32_t storage) { blocks.push_back(held_.blocks[held_.block_of[storage]]); });
  return blocks;
}

}  // namespace vramtrack::holders
