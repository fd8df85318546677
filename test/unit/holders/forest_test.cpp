#include <catch2/catch.hpp>

#include <algorithm>

#include "made_graph.hpp"
#include "report/holders/forest.hpp"

namespace vramtrack::holders {
namespace {

using trace::GraphEdgeKind;
using trace::GraphNodeKind;

Forest forest_of(MadeGraph& made, std::uint32_t steps, const std::string& source = "") {
  static trace::TraceFile trace;
  trace.sites.resize(1);
  const HeldGraph held = hold(made.done(), made.blocks);
  const BirthJudge births(trace, 100, steps, false, made.blocks);
  return make_forest(
      held, births, [&](const std::string&) -> const std::string& { return source; },
      [](std::uint32_t) { return std::string("/home/user/train.py"); });
}

const HolderReport* find(const Forest& forest, const std::string& path) {
  for (const HolderReport& row : forest.rows)
    if (row.path == path) return &row;
  return nullptr;
}

}  // namespace

TEST_CASE("a list of a user's object that grows with the steps is named, with its place") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), learner = made.object("__main__.Learner"), list = made.list();
  made.graph.nodes[learner].flags |= trace::graph_user_code;
  made.graph.nodes[learner].file = made.string("/home/user/train.py");
  made.edge(main, learner, GraphEdgeKind::global, "learner");
  made.edge(learner, list, GraphEdgeKind::attribute, "history");
  for (std::uint32_t i = 0; i < 80; ++i) {
    const std::uint32_t pair = made.node(GraphNodeKind::container, "tuple");
    made.edge(list, pair, GraphEdgeKind::index, std::uint64_t{i});
    made.edge(pair, made.tensor(4 << 20, i, i), GraphEdgeKind::index, std::uint64_t{1});
  }
  const Forest forest = forest_of(made, 80, "class Learner:\n  def update(self):\n    self.history.append(1)\n");
  const HolderReport* row = find(forest, "__main__.learner.history");
  REQUIRE(row != nullptr);
  CHECK(row->variable == "learner.history");
  CHECK(row->retained_bytes == Bytes{80} * (4 << 20));
  CHECK(row->blocks == 80);
  CHECK(row->verdict == "growing");
  CHECK(row->line == 3);
  CHECK(row->line_adds);
  const HolderReport* elements = find(forest, "__main__.learner.history[]");
  REQUIRE(elements != nullptr);
  CHECK(elements->count == 80);
  CHECK(elements->parent == row->id);
  CHECK(row->own_bytes == 0);
}

TEST_CASE("many small holders under string keys are one") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), sessions = made.object("__main__.Sessions");
  const std::uint32_t caches = made.node(GraphNodeKind::container, "collections.OrderedDict");
  made.edge(main, sessions, GraphEdgeKind::global, "sessions");
  made.edge(sessions, caches, GraphEdgeKind::attribute, "caches");
  for (std::uint32_t i = 0; i < 52; ++i) {
    const std::uint32_t list = made.list();
    made.edge(caches, list, GraphEdgeKind::key, "user" + std::to_string(i));
    for (std::uint32_t layer = 0; layer < 6; ++layer)
      made.edge(list, made.tensor(1 << 20, i + 0.1 * layer, 0), GraphEdgeKind::index, std::uint64_t{layer});
  }
  const Forest forest = forest_of(made, 0);
  const HolderReport* row = find(forest, "__main__.sessions.caches");
  REQUIRE(row != nullptr);
  CHECK(row->elements == 52);
  CHECK(row->blocks == 312);
  const HolderReport* elements = find(forest, "__main__.sessions.caches['user#']");
  REQUIRE(elements != nullptr);
  CHECK(elements->count == 52);
}

TEST_CASE("where two must let go, both are named and neither is said to do it alone") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), out = made.node(GraphNodeKind::container, "dict");
  made.edge(main, out, GraphEdgeKind::global, "Out");
  for (std::uint32_t i = 0; i < 60; ++i) {
    const std::uint32_t tensor = made.tensor(8 << 20, i, 0);
    made.edge(out, tensor, GraphEdgeKind::key_number, trace::heap_graph::zigzag(i));
    made.edge(main, tensor, GraphEdgeKind::global, "_" + std::to_string(i));
  }
  const Forest forest = forest_of(made, 0);
  const auto row = std::find_if(forest.rows.begin(), forest.rows.end(),
                                [](const auto& one) { return !one.also_held_by.empty() || one.blocks == 60; });
  REQUIRE(row != forest.rows.end());
  CHECK(row->retained_bytes == Bytes{60} * (8 << 20));
  REQUIRE(!row->also_held_by.empty());
  CHECK(row->path.starts_with("__main__."));
}

TEST_CASE("a model and its optimizer hold the parameters together") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), model = made.object("torch.nn.Linear"), sgd = made.object("SGD");
  made.graph.nodes[model].flags |= trace::graph_nn_module;
  made.graph.nodes[sgd].flags |= trace::graph_optimizer;
  made.edge(main, model, GraphEdgeKind::global, "model");
  made.edge(main, sgd, GraphEdgeKind::global, "optimizer");
  const std::uint32_t weight = made.tensor(1 << 20);
  made.graph.nodes[weight].flags |= trace::graph_parameter;
  const std::uint32_t body = made.object("torch.nn.Linear");  // so that the optimizer is nearer to the parameter
  made.edge(model, body, GraphEdgeKind::attribute, "body");
  made.edge(body, weight, GraphEdgeKind::attribute, "weight");
  made.edge(sgd, weight, GraphEdgeKind::attribute, "param");
  made.edge(sgd, made.tensor(2 << 20), GraphEdgeKind::attribute, "momentum");
  const Forest forest = forest_of(made, 0);
  const HolderReport* shared = find(forest, "__main__.model");
  const HolderReport* own = find(forest, "__main__.optimizer");
  REQUIRE(shared != nullptr);
  REQUIRE(own != nullptr);
  CHECK(shared->retained_bytes == 1 << 20);
  CHECK(shared->also_held_by == std::vector{own->id});
  CHECK(shared->roles.at("parameter") == 1 << 20);
  CHECK(own->retained_bytes == 2 << 20);
  CHECK(own->roles.at("optimizer_state") == 2 << 20);
  CHECK(own->verdict != "growing");
}

TEST_CASE("a cycle is told to be one, with the attribute of ctx that closes it") {
  MadeGraph made;
  made.main_module();
  for (std::uint32_t i = 0; i < 20; ++i) {
    const std::uint32_t node = made.node(GraphNodeKind::graph_node, "SwishFnBackward");
    made.graph.nodes[node].name = made.string("SwishFnBackward");
    const std::uint32_t out = made.tensor(1 << 20, i, i);
    made.edge(node, out, GraphEdgeKind::context, "out");
    made.edge(out, node, GraphEdgeKind::grad_fn);
  }
  const Forest forest = forest_of(made, 20);
  REQUIRE(!forest.rows.empty());
  CHECK(forest.rows.front().garbage);
  CHECK(forest.rows.front().count == 20);
  CHECK(forest.rows.front().retained_bytes == 20 << 20);
}

TEST_CASE("a list that is emptied now and then has a bound") {
  MadeGraph made;
  const std::uint32_t frame = made.frame("train", "/home/user/train.py", 1), list = made.list();
  made.edge(frame, list, GraphEdgeKind::local, "window");
  for (std::uint32_t i = 0; i < 40; ++i)
    made.edge(list, made.tensor(1 << 20, i, i), GraphEdgeKind::index, std::uint64_t{i});
  const Forest forest = forest_of(
      made, 40, "def train():\n  for x in y:\n    window.append(x)\n    if len(window) > 99:\n      window.pop(0)\n");
  const HolderReport* row = find(forest, "train() local window");
  REQUIRE(row != nullptr);
  CHECK(row->limited);
  CHECK(row->verdict == "steady");
  CHECK(row->kind == "local");
}

TEST_CASE("what two hold and holds something else together with another counts once") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), engine = made.object("__main__.Engine");
  const std::uint32_t model = made.list(), loss = made.list(), weight = made.tensor(1 << 20, 1, 0);
  made.edge(main, model, GraphEdgeKind::global, "model");
  made.edge(main, engine, GraphEdgeKind::global, "engine");
  made.edge(main, loss, GraphEdgeKind::global, "loss");
  made.edge(engine, loss, GraphEdgeKind::attribute, "outputs");
  for (std::uint32_t i = 0; i < 4; ++i)
    made.edge(loss, made.tensor(1 << 20, 2 + i, 0), GraphEdgeKind::index, std::uint64_t{i});
  made.edge(model, weight, GraphEdgeKind::index, std::uint64_t{0});
  made.edge(loss, weight, GraphEdgeKind::index, std::uint64_t{4});
  const Forest forest = forest_of(made, 0);
  Bytes bytes = 0;
  for (const HolderReport& row : forest.rows) bytes += row.parent ? 0 : row.retained_bytes;
  CHECK(bytes == Bytes{5} << 20);
}

TEST_CASE("a module or a frame that holds together with others has no bytes of its own: they stand in its variables") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), model = made.object("__main__.Model"), outputs = made.list();
  const std::uint32_t frame = made.frame("step"), gradients = made.list();
  made.edge(main, model, GraphEdgeKind::global, "model");
  made.edge(main, outputs, GraphEdgeKind::global, "outputs");
  made.edge(frame, gradients, GraphEdgeKind::local, "gradients");
  for (std::uint32_t i = 0; i < 6; ++i) {
    const std::uint32_t shared = made.tensor(1 << 20, i, 0);
    made.edge(model, shared, GraphEdgeKind::attribute, "weight" + std::to_string(i));
    made.edge(gradients, shared, GraphEdgeKind::index, std::uint64_t{i});
    made.edge(outputs, made.tensor(4 << 20, i, 0), GraphEdgeKind::index, std::uint64_t{i});
  }
  const Forest forest = forest_of(made, 0);
  Bytes roots = 0;
  for (const HolderReport& row : forest.rows) roots += row.parent ? 0 : row.retained_bytes;
  CHECK(roots == Bytes{6} * (5 << 20));  // each block once
  const HolderReport* row = find(forest, "__main__.outputs");
  REQUIRE(row != nullptr);
  CHECK(row->retained_bytes == Bytes{6} * (4 << 20));
}

TEST_CASE("tasks that have not finished are one row, named by their coroutine") {
  MadeGraph made;
  const std::uint32_t loop = made.node(GraphNodeKind::frame, "frame");
  made.graph.nodes[loop].name = made.string("BaseEventLoop.run_once");
  made.graph.nodes[loop].flags |= trace::graph_root;
  const std::uint32_t children = made.list(), handles = made.list();
  made.edge(loop, children, GraphEdgeKind::local, "children");
  made.edge(loop, handles, GraphEdgeKind::local, "scheduled");
  for (std::uint32_t i = 0; i < 12; ++i) {
    const std::uint32_t task = made.object("_asyncio.Task"), coroutine = made.node(GraphNodeKind::frame, "coroutine");
    made.graph.nodes[coroutine].name = made.string("answer");
    made.graph.nodes[coroutine].file = made.string("/home/user/serve.py");
    made.graph.nodes[coroutine].flags |= trace::graph_suspended | trace::graph_user_code;
    const std::uint32_t handle = made.object("asyncio.events.TimerHandle");
    made.edge(children, task, GraphEdgeKind::index, std::uint64_t{i});
    made.edge(handles, handle, GraphEdgeKind::index, std::uint64_t{i});
    made.edge(handle, task, GraphEdgeKind::slot, std::uint64_t{0});
    made.edge(task, coroutine, GraphEdgeKind::slot, std::uint64_t{0});
    made.edge(coroutine, made.tensor(4 << 20, i, i), GraphEdgeKind::local, "hidden");
  }
  const Forest forest = forest_of(made, 0);
  const HolderReport* row = find(forest, "answer()");
  REQUIRE(row != nullptr);
  CHECK(row->count == 12);
  CHECK(row->retained_bytes == Bytes{12} * (4 << 20));
  CHECK(row->also_held_by.empty());
  CHECK(row->known.starts_with("a task that has not finished"));
}

TEST_CASE("generators that each hold the one before are one row, named by the variable of the last") {
  MadeGraph made;
  std::uint32_t before = made.main_module();
  for (std::uint32_t i = 0; i < 60; ++i) {
    const std::uint32_t stage =
        made.node(GraphNodeKind::object, "generator", trace::graph_suspended | trace::graph_user_code);
    made.graph.nodes[stage].name = made.string("without");
    made.graph.nodes[stage].file = made.string("/home/user/train.py");
    made.edge(before, stage, i == 0 ? GraphEdgeKind::global : GraphEdgeKind::local, "stream");
    made.edge(stage, made.tensor(1 << 20, 60 - i, 60 - i), GraphEdgeKind::local, "reference");
    before = stage;
  }
  const Forest forest = forest_of(made, 60, "for step in range(60):\n  stream = without(stream, 1)\n");
  const HolderReport* row = find(forest, "__main__.stream");
  REQUIRE(row != nullptr);
  CHECK(row->variable == "stream");
  CHECK(row->verdict == "growing");
  CHECK(row->line == 2);
  CHECK(row->line_adds);
}

TEST_CASE("of a tree that grew and was lost, the children are what grew, not the parent") {
  MadeGraph made;
  const std::uint32_t root = made.object("__main__.Node");
  made.graph.nodes[root].flags |= trace::graph_user_code;
  made.graph.nodes[root].file = made.string("/home/user/train.py");
  const std::uint32_t children = made.node(GraphNodeKind::container, "dict");
  made.edge(root, children, GraphEdgeKind::attribute, "children");
  for (std::uint32_t i = 0; i < 60; ++i) {
    const std::uint32_t child = made.object("__main__.Node");
    made.graph.nodes[child].flags |= trace::graph_user_code;
    made.graph.nodes[child].file = made.string("/home/user/train.py");
    made.edge(children, child, GraphEdgeKind::key_number, std::uint64_t{i});
    made.edge(child, root, GraphEdgeKind::attribute, "parent");
    made.edge(child, made.tensor(1 << 20, i, i), GraphEdgeKind::attribute, "value");
  }
  made.graph.nodes[root].flags |= trace::graph_garbage;
  const Forest forest =
      forest_of(made, 60,
                "class Node:\n  def __init__(self, parent):\n    self.children = {}\n    self.parent = parent\n"
                "  def add(self, key, child):\n    self.children[key] = child\n");
  REQUIRE(!forest.rows.empty());
  const HolderReport& row = forest.rows.front();
  CHECK(row.garbage);
  CHECK(row.verdict == "growing");
  CHECK(row.variable == "Node.children");
  CHECK(row.line == 6);
  CHECK(row.line_calls);
}

TEST_CASE("of the halves of a tee the one that lags behind is named") {
  MadeGraph made;
  const std::uint32_t main = made.main_module();
  const std::uint32_t ahead = made.object("itertools._tee"), behind = made.object("itertools._tee");
  const std::uint32_t first = made.object("itertools._tee_dataobject"), last = made.object("itertools._tee_dataobject");
  made.edge(main, ahead, GraphEdgeKind::global, "training");
  made.edge(main, behind, GraphEdgeKind::global, "monitoring");
  made.edge(behind, first, GraphEdgeKind::slot, std::uint64_t{0});
  made.edge(first, last, GraphEdgeKind::slot, std::uint64_t{0});
  made.edge(ahead, last, GraphEdgeKind::slot, std::uint64_t{0});
  for (std::uint32_t i = 0; i < 20; ++i)
    made.edge(i < 14 ? first : last, made.tensor(1 << 20, i, i), GraphEdgeKind::slot, std::uint64_t{0});
  const Forest forest = forest_of(made, 20, "training, monitoring = tee(batches)\n");
  for (const HolderReport& row : forest.rows) {
    if (row.parent || row.retained_bytes == 0) continue;
    CHECK(row.variable == "monitoring");
  }
}

TEST_CASE("an object of a library grows at the one call of it, an attribute it was given where it was given") {
  MadeGraph made;
  const std::uint32_t main = made.main_module(), mock = made.object("unittest.mock.Mock"), calls = made.list();
  made.graph.nodes[main].file = made.string("/home/user/train.py");
  made.edge(main, mock, GraphEdgeKind::global, "score");
  made.edge(mock, calls, GraphEdgeKind::attribute, "_mock_call_args_list");
  const std::uint32_t net = made.object("torch.nn.modules.container.Sequential"), kept = made.list();
  made.graph.nodes[net].flags |= trace::graph_nn_module;
  made.edge(main, net, GraphEdgeKind::global, "net");
  made.edge(net, kept, GraphEdgeKind::attribute, "kept");
  for (std::uint32_t i = 0; i < 40; ++i) {
    made.edge(calls, made.tensor(1 << 20, i, i), GraphEdgeKind::index, std::uint64_t{i});
    made.edge(kept, made.tensor(1 << 20, i, i), GraphEdgeKind::index, std::uint64_t{i});
  }
  const Forest forest =
      forest_of(made, 40, "score = Mock()\nnet.kept = []\nfor x in data:\n  score(net(x))\n  net.kept.append(x)\n");
  const HolderReport* row = find(forest, "__main__.score");
  REQUIRE(row != nullptr);
  CHECK(row->line == 4);
  CHECK(row->line_adds);
  const HolderReport* attribute = find(forest, "__main__.net.kept");
  REQUIRE(attribute != nullptr);
  CHECK(attribute->line == 5);
}

TEST_CASE("what a running call was given is the variable's, and several variables are all named") {
  MadeGraph made;
  const std::uint32_t outer = made.frame("generate"), inner = made.frame("Decoder.forward");
  const std::uint32_t call =
      made.frame("Module._call_impl", "/usr/lib/python3/site-packages/torch/nn/modules/module.py");
  made.graph.nodes[call].flags = trace::graph_root;
  const std::uint32_t state = made.list();
  made.edge(outer, state, GraphEdgeKind::local, "state");
  made.edge(inner, state, GraphEdgeKind::local, "before");
  for (std::uint32_t i = 0; i < 4; ++i) {
    const std::uint32_t key = made.tensor(1 << 20, i, 0);
    made.edge(state, key, GraphEdgeKind::index, std::uint64_t{i});
    if (i == 0) made.edge(call, key, GraphEdgeKind::local, "input");
  }
  const std::uint32_t own = made.tensor(1 << 20, 5, 0);  // that only the call has
  made.edge(call, own, GraphEdgeKind::local, "result");
  made.graph.record.moment = static_cast<std::uint8_t>(trace::GraphMoment::out_of_memory);
  const Forest forest = forest_of(made, 0);
  const auto row = std::ranges::find_if(forest.rows, [](const HolderReport& one) { return one.blocks == 4; });
  REQUIRE(row != forest.rows.end());
  CHECK((row->path == "generate() local state" || row->path == "Decoder.forward() local before"));
  REQUIRE(row->also_held_by.size() == 1);
  const std::string other = forest.rows[row->also_held_by.front()].path;
  CHECK((other != row->path && (other == "generate() local state" || other == "Decoder.forward() local before")));
  CHECK(find(forest, "Module._call_impl() local result") != nullptr);
}

TEST_CASE("what several calls of libraries have is the outermost one's") {
  MadeGraph made;
  const std::uint32_t inner = made.frame("concat", "/usr/lib/python3/site-packages/trainer/tools.py"),
                      outer = made.frame("Trainer.evaluate", "/usr/lib/python3/site-packages/trainer/trainer.py"),
                      native = made.object("tuple");
  made.graph.nodes[inner].flags = made.graph.nodes[outer].flags = trace::graph_root;
  made.graph.nodes[outer].depth = 1;
  made.graph.nodes[native].flags = trace::graph_unseen_holder;
  const std::uint32_t gathered = made.object("trainer.Container"), all = made.tensor(4 << 20, 1, 0),
                      part = made.tensor(1 << 20, 2, 0);
  made.edge(outer, gathered, GraphEdgeKind::local, "gathered");
  made.edge(gathered, all, GraphEdgeKind::attribute, "tensors");
  made.edge(inner, all, GraphEdgeKind::local, "first");
  made.edge(inner, part, GraphEdgeKind::local, "second");
  made.edge(native, all, GraphEdgeKind::index, std::uint64_t{0});
  made.graph.record.moment = static_cast<std::uint8_t>(trace::GraphMoment::out_of_memory);
  const Forest forest = forest_of(made, 0);
  const HolderReport* row = find(forest, "Trainer.evaluate() local gathered.tensors");
  REQUIRE(row != nullptr);
  CHECK(row->retained_bytes == 4 << 20);
  CHECK(row->also_held_by.empty());
  CHECK(find(forest, "concat() local second") != nullptr);
}

}  // namespace vramtrack::holders
