#include "report/holders/model_memory.hpp"

#include <algorithm>

#include "report/holders/way.hpp"
#include "report/model/model.hpp"

namespace vramtrack::holders {

using trace::GraphNodeKind;

namespace {

bool is_of_model(const std::string& role) {
  return role == "parameter" || role == "buffer" || role == "gradient" || role == "optimizer_state";
}

}  // namespace

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
    if (is_of_model(role_of(storage))) model += bytes;
  });
  return 2 * model >= all;
}

bool ModelMemory::is_state(std::uint32_t node) const {
  const std::vector<std::uint32_t> way = way_to(held_, node);
  const auto optimizer =
      std::ranges::find_if(way, [&](std::uint32_t at) { return held_.has(at, trace::graph_optimizer); });
  if (optimizer == way.end()) return false;
  Bytes all = 0, parameters = 0;
  tree_.each_storage(*optimizer, [&](std::uint32_t storage) {
    const Bytes bytes = held_.blocks[held_.block_of[storage]].bytes;
    all += bytes;
    const auto before = held_.predecessors.of(storage);
    if (std::ranges::any_of(before, [&](std::uint32_t at) { return held_.has(at, trace::graph_requires_grad); }))
      parameters += bytes;
  });
  return 10 * parameters < all;
}

bool ModelMemory::has_part(std::uint32_t node) const {
  return held_.is(node, GraphNodeKind::tensor) &&
         (held_.has(node, trace::graph_parameter) || held_.has(node, trace::graph_gradient) ||
          held_.has(node, trace::graph_buffer));
}

}  // namespace vramtrack::holders
