#include "report/holders/trained_modules.hpp"

#include <string>
#include <string_view>
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

/// FSDP and the like put other parameters in their modules' places while these run: no optimizer has those.
bool shards_parameters(const HeldGraph& held, std::uint32_t module) {
  const std::string& type = held.text(held.node(module).type_name);
  const std::string_view name = std::string_view(type).substr(type.rfind('.') + 1);  // npos + 1 is 0
  return name.starts_with("FSDP") || name.starts_with("FullySharded") || type.starts_with("deepspeed.");
}

}  // namespace

bool TrainedModules::add(const HeldGraph& held) {
  bool any = false;
  const std::vector<bool> has_optimizer = optimized(held, any);
  if (!any || held.graph->record.omitted_nodes != 0) return any;
  const auto is_module = [&](std::uint32_t node) { return held.has(node, trace::graph_nn_module); };
  for (std::uint32_t i = 0; i < held.root; ++i)
    if (is_module(i) && shards_parameters(held, i)) return true;
  for (std::uint32_t i = 0; i < held.root; ++i) {
    if (!is_module(i)) continue;
    for (const std::uint32_t part : held.successors.of(i))
      if (held.has(part, trace::graph_parameter) && held.has(part, trace::graph_requires_grad))
        (has_optimizer[part] ? with_optimizer : without).insert(held.node(i).address);
  }
  return true;
}

}  // namespace vramtrack::holders
