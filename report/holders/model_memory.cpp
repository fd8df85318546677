#include "report/holders/model_memory.hpp"

#include <algorithm>

#include "report/holders/way.hpp"
#include "report/model/sites.hpp"

namespace vramtrack::holders {

using trace::GraphNodeKind;

ModelMemory::ModelMemory(const HeldGraph& held, const HoldingTree& tree) : held_(held), tree_(tree) {
  for (std::uint32_t node = 0; held.is_node(node); ++node)
    if (held.has(node, trace::graph_optimizer) && is_in_use(node)) in_use_.insert(node);
}

std::string ModelMemory::role_of(std::uint32_t storage) const {
  std::string role = "unknown";
  for (const std::uint32_t before : held_.predecessors.of(storage)) {
    if (!held_.is(before, GraphNodeKind::tensor)) continue;
    if (held_.has(before, trace::graph_parameter)) return "parameter";
    if (held_.has(before, trace::graph_gradient)) return "gradient";
    if (held_.has(before, trace::graph_buffer)) return "buffer";
    role = "python";
  }
  if (role != "python") return through_autograd(held_, storage) ? "saved_for_backward" : role;
  for (std::uint32_t at = storage; at != no_node && held_.is_node(at); at = held_.dominators.parent[at])
    if (held_.has(at, trace::graph_optimizer)) return "optimizer_state";
  return through_autograd(held_, storage) ? "saved_for_backward" : role;
}

bool ModelMemory::makes_up(std::uint32_t node) const {
  std::size_t models = 0;
  for (const std::uint32_t child : tree_.below(node)) models += held_.has(child, trace::graph_nn_module) ? 1 : 0;
  if (models >= 4 && !held_.has(node, trace::graph_nn_module)) return false;
  Bytes all = 0, model = 0;
  tree_.each_storage(node, [&](std::uint32_t storage) {
    const Bytes bytes = held_.blocks[held_.block_of[storage]].bytes;
    all += bytes;
    if (is_model_role(role_of(storage))) model += bytes;
  });
  return 2 * model >= all;
}

bool ModelMemory::is_in_use(std::uint32_t optimizer) const {
  Bytes all = 0, parameters = 0;
  tree_.each_storage(optimizer, [&](std::uint32_t storage) {
    const Bytes bytes = held_.blocks[held_.block_of[storage]].bytes;
    all += bytes;
    const auto before = held_.predecessors.of(storage);
    if (std::ranges::any_of(before, [&](std::uint32_t at) { return held_.has(at, trace::graph_requires_grad); }))
      parameters += bytes;
  });
  return 10 * parameters < all;
}

bool ModelMemory::is_state(std::uint32_t node) const {
  for (const std::uint32_t at : way_to(held_, node))
    if (held_.has(at, trace::graph_optimizer)) return in_use_.contains(at);
  return false;
}

bool ModelMemory::has_part(std::uint32_t node) const {
  return held_.is(node, GraphNodeKind::tensor) &&
         (held_.has(node, trace::graph_parameter) || held_.has(node, trace::graph_gradient) ||
          held_.has(node, trace::graph_buffer));
}

}  // namespace vramtrack::holders
