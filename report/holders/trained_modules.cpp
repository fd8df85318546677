#include "report/holders/trained_modules.hpp"

#include <vector>

namespace vramtrack::holders {
namespace {

/// Parameters that optimizers lead to by lists and dicts.
std::vector<bool> optimized(const HeldGraph& held, bool& any) {
  std::vector<bool> reached(held.root);
  std::vector<std::uint32_t> stack;
  for (std::uint32_t i = 0; i < held.root; ++i)
    if (held.has(i, trace::graph_optimizer)) stack.push_back(i);
  any = !stack.empty();
  while (!stack.empty()) {
    const std::uint32_t node = stack.back();
    stack.pop_back();
    for (const std::uint32_t next : held.successors.of(node)) {
      if (!held.is_node(next) || reached[next]) continue;
      reached[next] = true;
      if (held.is(next, GraphNodeKind::container)) stack.push_back(next);
    }
  }
  return reached;
}

}  // namespace

void TrainedModules::add(const HeldGraph& held) {
  bool any = false;
  const std::vector<bool> has_optimizer = optimized(held, any);
  if (!any || held.graph->record.omitted_nodes != 0) return;
  for (std::uint32_t i = 0; i < held.root; ++i) {
    if (!held.has(i, trace::graph_nn_module)) continue;
    for (const std::uint32_t part : held.successors.of(i))
      if (held.has(part, trace::graph_parameter) && held.has(part, trace::graph_requires_grad))
        (has_optimizer[part] ? with_optimizer : without).insert(held.node(i).address);
  }
}

}  // namespace vramtrack::holders
