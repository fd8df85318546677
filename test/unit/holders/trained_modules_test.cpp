// Which modules learn: by the parameters that optimizers have.
#include "report/holders/trained_modules.hpp"

#include <catch2/catch.hpp>

#include "test/unit/holders/made_graph.hpp"

namespace vramtrack::holders {
namespace {

using trace::GraphEdgeKind;

/// A module with one parameter, at an address of its own.
std::uint32_t module_of(MadeGraph& made, std::uint32_t parameter, std::uint64_t address,
                        const std::string& type = "torch.nn.modules.linear.Linear") {
  const std::uint32_t module = made.object(type);
  made.graph.nodes[module].flags |= trace::graph_nn_module;
  made.graph.nodes[module].address = address;
  made.graph.nodes[parameter].flags |= trace::graph_parameter;
  made.edge(module, parameter, GraphEdgeKind::attribute, "weight");
  return module;
}

/// `student` and `teacher`, and an optimizer that has the parameter of the first.
MadeGraph distillation(const std::string& type = "torch.nn.modules.linear.Linear") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), optimizer = made.object("torch.optim.adam.Adam"), groups = made.list(),
                      group = made.list();
  made.graph.nodes[optimizer].flags |= trace::graph_optimizer;
  const std::uint32_t learned = made.tensor(4096), fixed = made.tensor(4096), frozen = made.tensor(4096);
  for (const std::uint32_t parameter : {learned, fixed})
    made.graph.nodes[parameter].flags |= trace::graph_requires_grad;
  made.edge(main, module_of(made, learned, 1, type), GraphEdgeKind::global, "student");
  made.edge(main, module_of(made, fixed, 2), GraphEdgeKind::global, "teacher");
  made.edge(main, module_of(made, frozen, 3), GraphEdgeKind::global, "frozen");
  made.edge(main, optimizer, GraphEdgeKind::global, "optimizer");
  made.edge(optimizer, groups, GraphEdgeKind::attribute, "param_groups");
  made.edge(groups, group, GraphEdgeKind::index, std::uint64_t{0});
  made.edge(group, learned, GraphEdgeKind::index, std::uint64_t{0});
  return made;
}

}  // namespace

TEST_CASE("modules learn whose parameters an optimizer has") {
  MadeGraph made = distillation();
  TrainedModules trained;
  trained.add(hold(made.done(), made.blocks));
  CHECK(trained.with_optimizer == std::set<std::uint64_t>{1});
  CHECK(trained.without == std::set<std::uint64_t>{2});
}

TEST_CASE("without an optimizer, or with sharded parameters, nothing is known of who learns") {
  MadeGraph alone;
  const std::uint32_t parameter = alone.tensor(4096);
  alone.graph.nodes[parameter].flags |= trace::graph_requires_grad;
  alone.edge(alone.main_module(), module_of(alone, parameter, 1), GraphEdgeKind::global, "model");
  MadeGraph sharded = distillation("torch.distributed.fsdp._fully_shard._fully_shard.FSDPLinear");
  TrainedModules trained;
  trained.add(hold(alone.done(), alone.blocks));
  trained.add(hold(sharded.done(), sharded.blocks));
  CHECK(trained.with_optimizer.empty());
  CHECK(trained.without.empty());
}

}  // namespace vramtrack::holders
