// Retained bytes against an oracle that cannot be wrong in the same way: take the holder away, look what is reached.
#include <catch2/catch.hpp>

#include <random>

#include "made_graph.hpp"
#include "report/holders/held_graph.hpp"
#include "report/model/model.hpp"

namespace vramtrack::holders {
namespace {

struct RandomGraph {
  MadeGraph made;
  explicit RandomGraph(std::uint32_t seed) {
    std::mt19937 random(seed);
    const auto up_to = [&](std::uint32_t most) { return static_cast<std::uint32_t>(random() % (most + 1)); };
    const std::uint32_t roots = 1 + up_to(3), objects = 5 + up_to(60), tensors = 1 + up_to(40);
    std::vector<std::uint32_t> holders, all;
    for (std::uint32_t i = 0; i < roots; ++i) holders.push_back(made.frame("f" + std::to_string(i)));
    for (std::uint32_t i = 0; i < objects; ++i) holders.push_back(made.object("Thing"));
    all = holders;
    for (std::uint32_t i = 0; i < tensors; ++i) all.push_back(made.tensor(512 * (1 + up_to(100))));
    const std::uint32_t edges = objects + tensors + up_to(2 * objects);
    for (std::uint32_t i = 0; i < edges; ++i)
      made.edge(holders[up_to(static_cast<std::uint32_t>(holders.size() - 1))],
                all[up_to(static_cast<std::uint32_t>(all.size() - 1))], trace::GraphEdgeKind::attribute, "a");
    made.done();
  }
};

/// Bytes of the storages reached from the roots and, where nothing else does, from the cycles; `without` is passed by.
Bytes reached(const HeldGraph& held, std::uint32_t without) {
  std::vector<bool> seen(held.successors.nodes());
  std::vector<std::uint32_t> stack{held.root};
  Bytes bytes = 0;
  seen[held.root] = true;
  while (!stack.empty()) {
    const std::uint32_t node = stack.back();
    stack.pop_back();
    if (held.block_of[node] != no_node) bytes += held.blocks[held.block_of[node]].bytes;
    for (const std::uint32_t next : held.successors.of(node))
      if (next != without && !seen[next]) {
        seen[next] = true;
        stack.push_back(next);
      }
  }
  return bytes;
}

}  // namespace

TEST_CASE("what a holder retains is what goes when it goes") {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    const RandomGraph random(seed);
    const HeldGraph held = hold(random.made.graph, random.made.blocks);
    const Bytes all = reached(held, no_node);
    REQUIRE(held.retained[held.root] == all);
    for (std::uint32_t node = 0; node < random.made.graph.nodes.size(); ++node) {
      INFO("seed " << seed << " node " << node);
      REQUIRE(held.retained[node] == all - reached(held, node));
    }
  }
}

TEST_CASE("all memory is below the root, also what only cycles hold") {
  MadeGraph made;
  const std::uint32_t a = made.object("A"), b = made.object("B"), outside = made.object("C");
  made.edge(a, b, trace::GraphEdgeKind::attribute, "b");
  made.edge(b, a, trace::GraphEdgeKind::attribute, "a");
  made.edge(b, made.tensor(1000), trace::GraphEdgeKind::attribute, "x");
  made.edge(outside, a, trace::GraphEdgeKind::attribute, "a");
  const HeldGraph held = hold(made.done(), made.blocks);
  CHECK(held.retained[held.root] == 1000);
  CHECK(held.retained[held.garbage] == 1000);
  CHECK(held.retained[outside] == 1000);
}

TEST_CASE("a chain of a million nodes needs no stack") {
  constexpr std::uint32_t length = 1'000'000;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (std::uint32_t i = 0; i + 1 < length; ++i) {
    edges.push_back({i, i + 1});
    edges.push_back({i, length});  // each also leads to one that all share
  }
  const Dominators found = dominators(Adjacency(length + 1, edges), Adjacency(length + 1, edges, true), 0);
  CHECK(found.parent[length - 1] == length - 2);
  CHECK(found.parent[length] == 0);
}

TEST_CASE("one block that two storages share counts once") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), list = made.list();
  made.edge(main, list, trace::GraphEdgeKind::global, "xs");
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t tensor = made.tensor(4096);
    made.edge(list, tensor, trace::GraphEdgeKind::index, static_cast<std::uint64_t>(i));
  }
  made.graph.nodes.back().data_address = made.blocks.front().address + 512;
  made.blocks.pop_back();
  const HeldGraph held = hold(made.done(), made.blocks);
  CHECK(held.retained[list] == 4096);
}

}  // namespace vramtrack::holders
