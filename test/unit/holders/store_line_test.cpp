#include <catch2/catch.hpp>

#include "report/holders/call_lines.hpp"
#include "report/holders/store_line.hpp"

namespace vramtrack::holders {
namespace {

constexpr std::string_view source = R"(import torch  # 1
total = 0
text = """
total += 1
"""
class Learner:
    seen = {}

    def __init__(self):
        self.history = []
        self.window = []  # self.history.append(1)

    def update(self, states):
        self.history.append((1, states))
        self.window.append(states)
        if len(self.window) > 4:
            self.window.pop(0)
        Learner.seen[len(states)] = states


def train(steps):
    losses = []
    cache = {}
    params = {"a": 1}
    for step in range(steps):
        params = {name: p - 1 for name, p in params.items()}
        losses.append(
            step)
        cache.setdefault("x", []).append(step)
        batch = step
    return losses


def bounded():
    kept = []
    if len(kept) < 3:
        kept.append(1)


def other():
    losses = [1]
    global total
    total += 1
)";

StoreLine ask(std::string_view name, std::string_view of_class = "", std::string_view function = "") {
  return store_line(source, {name, of_class, function, 0});
}

}  // namespace

TEST_CASE("the statement that adds to a variable is found") {
  CHECK(ask("history", "Learner").line == 14);
  CHECK(ask("history", "Learner").grows);
  CHECK(!ask("history", "Learner").limited);
  CHECK(ask("seen", "Learner").line == 18);
  CHECK(ask("losses", "", "train").line == 27);
  CHECK(ask("cache", "", "train").line == 29);
  CHECK(ask("params", "", "train").line == 26);
  CHECK(ask("params", "", "train").grows);
  CHECK(ask("total").line == 43);
}

TEST_CASE("a plain assignment does not grow, a buffer with a limit is told") {
  CHECK(ask("batch", "", "train").line == 30);
  CHECK(!ask("batch", "", "train").grows);
  CHECK(ask("window", "Learner").limited);
  CHECK(ask("kept", "", "bounded").limited);
  CHECK(ask("absent").line == 0);
}

TEST_CASE("a method that would empty it counts only where it is called") {
  const std::string text =
      "class A:\n  def add(self, x):\n    self.xs.append(x)\n  def drop(self):\n    self.xs.clear()\n";
  CHECK(!store_line(text, {"xs", "A", "", 0}).limited);
  CHECK(store_line(text + "a.drop()\n", {"xs", "A", "", 0}).limited);
}

TEST_CASE("what adds to an element under a local name is the statement") {
  for (const char* const names :
       {"pairs = self.seen.setdefault(k, [])", "pairs = self.seen[k]", "pairs = self.seen.get(k)"}) {
    const std::string text = std::string("class A:\n  def __init__(self):\n    self.seen = defaultdict(list)\n") +
                             "  def add(self, k, x):\n    " + names + "\n    pairs.append(x)\n";
    CHECK(store_line(text, {"seen", "A", "", 0}).line == 6);
    CHECK(store_line(text, {"seen", "A", "", 0}).grows);
  }
  const std::string state =
      "class A:\n  def open(self, k):\n    self.seen[k] = Stream()\n  def add(self, k, x):\n"
      "    stream = self.seen[k]\n    stream.text.append(x)\n    stream.state = x\n"
      "  def other(self, pairs):\n    stream.append(1)\n";
  CHECK(store_line(state, {"seen", "A", "", 0}).line == 3);
}

TEST_CASE("a method that begins it anew is named where nothing calls it, and limits nothing") {
  const std::string begins =
      "class A:\n  def __init__(self):\n    self.xs = []\n  def add(self, x):\n    self.xs.append(x)\n";
  for (const char* const statement : {"self.xs = []", "self.xs, self.ys = [], {}", "self.ys = self.xs = None",
                                      "self.xs = collections.deque(maxlen=n)"}) {
    const std::string text = begins + "  def reset(self):\n    " + statement + "\n";
    CHECK(store_line(text, {"xs", "A", "", 0}).taker == "reset");
    CHECK_FALSE(store_line(text, {"xs", "A", "", 0}).limited);
    CHECK(store_line(text, {"xs", "A", "", 0}).line == 5);
    CHECK(store_line(text + "a.reset()\n", {"xs", "A", "", 0}).taker.empty());
    const std::string first = "class B:\n  def __init__(self):\n    self.reset()\nA()\n", later = "A().reset()\n";
    for (const std::string& use : {first, later}) {
      const std::string_view sources[] = {text, use};
      const RunningFunctions running = functions_that_run(sources);
      CHECK(store_line(text, {"xs", "A", "", 0, false, &running}).taker == (use == first ? "reset" : ""));
      CHECK(store_line(text + use, {"xs", "A", "", 0}).taker == (use == first ? "reset" : ""));
    }
    CHECK_FALSE(store_line(text + "a.reset()\n", {"xs", "A", "", 0}).limited);
  }
  for (const char* const statement :
       {"self.xs = [x]", "self.ys = []", "self.ys, self.xs = [], more", "self.xs == []"}) {
    const std::string text = begins + "  def other(self):\n    " + statement + "\n";
    CHECK(store_line(text, {"xs", "A", "", 0}).taker.empty());
  }
}

TEST_CASE("what takes out single elements limits less than what takes out too many; what nobody calls is named") {
  const std::string text =
      "class A:\n  def add(self, k, x):\n    self.xs[k] = x\n  def end(self, k):\n    del self.xs[k]\n"
      "  def drop(self):\n    self.xs.clear()\na.end(3)\n";
  const StoreLine one = store_line(text, {"xs", "A", "", 0});
  CHECK(one.limited);
  CHECK(one.by_key);
  CHECK(one.taker == "drop");
  CHECK(one.taker_line == 6);
  const StoreLine all = store_line(text + "a.drop()\n", {"xs", "A", "", 0});
  CHECK(all.limited);
  CHECK_FALSE(all.by_key);
  CHECK(all.taker.empty());
  for (const char* const statement :
       {"self.xs.pop(next(iter(self.xs)))", "del self.xs[0]", "del self.xs[k:]", "self.xs.popitem()"}) {
    const std::string evicts =
        std::string("class A:\n  def add(self, k, x):\n    self.xs[k] = x\n    ") + statement + "\n";
    CHECK(store_line(evicts, {"xs", "A", "", 0}).limited);
    CHECK_FALSE(store_line(evicts, {"xs", "A", "", 0}).by_key);
  }
  CHECK(store_line("class A:\n  def add(self, k, x):\n    self.xs[k] = x\n    self.xs.pop(k)\n", {"xs", "A", "", 0})
            .by_key);
}

TEST_CASE("what undoes an addition in its own block is left out by an error in between; `finally` is not") {
  const auto ask_of = [](const std::string& body) {
    return store_line("class A:\n  def scope(self, x):\n    self.xs.append(x)\n" + body, {"xs", "A", "", 0});
  };
  const StoreLine undone = ask_of("    yield\n    self.xs.pop()\n");
  CHECK(undone.limited);
  CHECK(undone.by_key);
  for (const char* const body : {"    try:\n      yield\n    finally:\n      self.xs.pop()\n", "    self.xs.pop(0)\n",
                                 "    if len(self.xs) > 9:\n      self.xs.pop()\n"}) {
    CHECK(ask_of(body).limited);
    CHECK_FALSE(ask_of(body).by_key);
  }
  CHECK_FALSE(
      store_line("class A:\n  def next(self):\n    x = self.xs.pop()\n    self.xs.append(x)\n", {"xs", "A", "", 0})
          .by_key);
}

TEST_CASE("a lambda that would take out what it is given limits nothing") {
  const std::string text =
      "class Bus:\n  def add(self, x):\n    self.xs.append(x)\n    return lambda: self.xs.remove(x)\n";
  CHECK_FALSE(store_line(text, {"xs", "Bus", "", 0}).limited);
  CHECK(store_line(text + "  def age(self):\n    self.xs.pop(min(self.xs, key=lambda x: x.age))\nbus.age()\n",
                   {"xs", "Bus", "", 0})
            .limited);
}

TEST_CASE("a method counts as called where the program runs it, in any of its files") {
  const std::string bus =
      "class Bus:\n  def add(self, x):\n    self.xs.append(x)\n  def drop(self, x):\n    self.xs.remove(x)\n";
  const std::string_view idle[] = {bus, "class Job:\n  def close(self):\n    bus.drop(self)\nJob().run()\n"};
  const std::string_view used[] = {bus, "class Job:\n  def close(self):\n    bus.drop(self)\nJob().close()\n"};
  const std::string_view library[] = {bus, "class Job(lib.Base):\n  def close(self):\n    bus.drop(self)\n"};
  const auto limited = [&](std::span<const std::string_view> sources) {
    const RunningFunctions running = functions_that_run(sources);
    return store_line(bus, {"xs", "Bus", "", 0, false, &running}).limited;
  };
  CHECK_FALSE(limited(idle));
  CHECK(limited(used));
  CHECK(limited(library));
}

TEST_CASE("a statement in the line of its head is one of its own") {
  const auto ask_of = [](const std::string& body) {
    return store_line("class Pool:\n  def put(self, x):\n" + body, {"xs", "Pool", "", 0});
  };
  CHECK(ask_of("    if len(self.xs) < self.n: self.xs.append(x)\n    else: self.xs[i] = x\n").limited);
  CHECK_FALSE(ask_of("    if x: self.xs.append(x)\n").limited);
  CHECK(ask_of("    for y in x: self.xs.append(y)\n").grows);
  CHECK(store_line("class A:\n  def drop(self): self.xs.clear()\n  def add(self, x): self.xs.append(x)\n",
                   {"xs", "A", "", 0})
            .taker == "drop");
  CHECK(store_line("if (lambda x: x)(1): kept.append(1)\n", {"kept", {}, {}, 0}).grows);
}

TEST_CASE("what takes the place of another, leaves when it is full or begins anew now and then has a limit") {
  const auto limited = [](const std::string& body) {
    return store_line("class Pool:\n  def put(self, x, i):\n" + body, {"xs", "Pool", "", 0}).limited;
  };
  CHECK(limited("    self.xs[i % self.n] = x\n"));
  CHECK(limited("    self.xs[self.at] = x\n    self.at = (self.at + 1) % self.n\n"));
  CHECK_FALSE(limited("    self.xs[self.at] = x\n    self.at += 1\n"));
  CHECK_FALSE(limited("    self.xs['name_%d' % i] = x\n"));
  CHECK(limited("    if len(self.xs) >= 9: return\n    self.xs.append(x)\n"));
  CHECK(limited("    if 9 <= len(self.xs):\n      return None\n    self.xs.append(x)\n"));
  CHECK_FALSE(limited("    self.xs.append(x)\n    if len(self.xs) < 2: return\n"));
  CHECK(limited("    if len(self.xs) == self.n: return\n    self.xs.append(x)\n"));
  CHECK_FALSE(limited("    if len(self.xs) == 0: return\n    self.xs.append(x)\n"));
  CHECK(limited("    self.xs.append(x)\n    if i % 9 == 0:\n      self.xs = []\n"));
  CHECK_FALSE(limited("    self.xs.append(x)\n    if i is None:\n      self.xs = []\n"));
  CHECK(limited("    self.xs[i] = x\n    self.xs.popitem(last=False)\n"));
  const auto cached = [](const std::string& decorator) {
    return store_line("@" + decorator + "\ndef f(i):\n  return i\n", {"f", {}, {}, 0}).limited;
  };
  for (const char* const with : {"lru_cache", "functools.lru_cache()", "lru_cache(maxsize=150)", "lru_cache(64)"})
    CHECK(cached(with));
  for (const char* const with : {"cache", "lru_cache(maxsize=None)", "lru_cache(None)", "lru_cache(100000)"})
    CHECK_FALSE(cached(with));
  const std::string own = "class Own(dict):\n  def __setitem__(self, k, v):\n    super().__setitem__(k, v)\n";
  CHECK(limits_itself(own + "    if len(self) > 9: del self[next(iter(self))]\n", "Own", nullptr));
  CHECK_FALSE(limits_itself(own + "  def drop(self, k):\n    del self[k]\nx.drop(1)\n", "Own", nullptr));
  CHECK_FALSE(limits_itself(own, "Other", nullptr));
}

TEST_CASE("a counter that is compared before it is raised limits what is added with it") {
  const auto limited = [](const std::string& head, const std::string& body) {
    const std::string text =
        "class Pool:\n  def put(self, x):\n    " + head + "\n" + body + "      self.xs.append(x)\n";
    return store_line(text, {"xs", "Pool", "", 0}).limited;
  };
  CHECK(limited("if self.count < self.size:", "      self.count += 1\n"));
  CHECK_FALSE(limited("while self.count < self.size:", "      self.count += 1\n"));  // any loop
  CHECK_FALSE(limited("if self.count < self.size:", ""));
  CHECK_FALSE(limited("if x:", "      self.count += 1\n"));
}

TEST_CASE("the call into a library that hands something over is told from those that do not") {
  CHECK(line_of_call_into("import track\ntrack.init('x')\nfor i in range(3):\n  track.log({'i': i})\n", "track") == 4);
  CHECK(line_of_call_into("track.a(1)\ntrack.b(2)\n", "track") == 0);
  CHECK(line_of_call_into("other.track.log(1)\ntrack.finish()\n", "track") == 0);
}

TEST_CASE("an object is stored by its assignment, not by what its methods do") {
  const std::string text =
      "class A:\n  def __init__(self):\n    self.log = B(self)\n  def f(self, x):\n    self.log.log(x)\n";
  CHECK(store_line(text, {"log", "A", "", 0}).line == 5);
  CHECK(store_line(text, {"log", "A", "", 0, true, nullptr}).line == 3);
}

TEST_CASE("a source that is cut off or no source at all is read to its end") {
  for (std::size_t length = 0; length <= source.size(); ++length)
    (void)store_line(source.substr(0, length), {"losses", "", "train", 0});
  CHECK(store_line("x = '''", {"x", "", "", 0}).line == 1);
  CHECK(store_line("\\\n\\", {"x", "", "", 0}).line == 0);
}

TEST_CASE("what a function returns is followed to the variable in it") {
  constexpr std::string_view made = R"(def train(steps):
    params = {}
    for step in range(steps):
        params = {name: p for name, p in params.items()}
    return params

def serve():
    pending = []
    return len(pending), pending

weights = train(3)
failed, kept = serve()
kept[0] = train(3)
)";
  CHECK(returned_at(made, 11, "weights").name == "params");
  CHECK(returned_at(made, 11, "weights").function == "train");
  CHECK(returned_at(made, 12, "kept").name == "pending");
  CHECK(returned_at(made, 12, "failed").name.empty());
  CHECK(returned_at(made, 13, "kept").name.empty());
  CHECK(returned_at(made, 2, "params").name.empty());
  CHECK(statement_names(made, 12, "serve"));
  CHECK_FALSE(statement_names(made, 12, "train"));
}

TEST_CASE("a loop and a context hold what they were given") {
  constexpr std::string_view made = R"(def main():
    rest = load()
    for batch in data.batches:
        with pool as memory:
            step(batch)
    def later():
        step(rest)
)";
  for (const std::string_view name : {"data", "pool", "step"}) CHECK(statement_names(made, 5, name));
  CHECK_FALSE(statement_names(made, 5, "rest"));
  CHECK_FALSE(statement_names(made, 7, "data"));
}

TEST_CASE("a function's own variable is not the global of that name") {
  constexpr std::string_view made = R"(def forward(x):
    x = x + 1
    return x

def count():
    global total
    total = total + x

for _ in range(3):
    x = make()
)";
  CHECK(store_line(made, {"x", "", "", 0}).line == 10);
  CHECK_FALSE(store_line(made, {"x", "", "", 0}).grows);
  CHECK(store_line(made, {"total", "", "", 0}).line == 7);
  CHECK(store_line(made, {"x", "", "forward", 1}).line == 2);
}

TEST_CASE("a decorated function that holds memory grows by being called") {
  constexpr std::string_view made =
      "class Encoder:\n    @cache\n    def encode(self):\n        return 1\n\n    def plain(self):\n        return 2\n";
  CHECK(store_line(made, {"encode", "Encoder", {}, 0}).line == 3);
  CHECK(store_line(made, {"encode", "Encoder", {}, 0}).grows);
  CHECK_FALSE(store_line(made, {"plain", "Encoder", {}, 0}).grows);
}

TEST_CASE("a function adds to what it is given first") {
  const auto asked = [](std::string_view text) { return store_line(text, {"beams", "", "", 0}); };
  CHECK(asked("beams = []\nheapq.heappush(beams, 1)\n").line == 2);
  CHECK(asked("beams = []\nheapq.heappush(beams, 1)\n").grows);
  CHECK(asked("beams = []\nheapq.heappush(beams, 1)\nheappop(beams)\n").limited);
  CHECK(asked("beams = []\nheapq.heappush(beams, 1)\nheapq.heappushpop(beams, 2)\n").limited);
  CHECK_FALSE(asked("beams = []\nshow(1, beams)\n").grows);
  CHECK(store_line("class A:\n  def __init__(self):\n    self.best = []\n  def see(self, x):\n"
                   "    bisect.insort(self.best, x)\n",
                   {"best", "A", "", 0})
            .line == 5);
}

TEST_CASE("names that are computed are made by a statement") {
  CHECK(store_line("out = 1\nglobals()[f'out_{out}'] = 2\n", {"out_7", "", "", 0}).line == 2);
  CHECK(
      store_line("class A:\n  x = 1\n  def f(self, i):\n    setattr(self, f'x_{i}', i)\n", {"x_3", "A", "", 0}).line ==
      4);
  CHECK(store_line("class A:\n  def f(self, i):\n    vars(self)[f'x{i}'] = i\n", {"x3", "A", "", 0}).grows);
  CHECK(store_line("x = globals()['x_3']\n", {"x_3", "", "", 0}).line == 0);
}

TEST_CASE("a function is stored by its definition") {
  CHECK(store_line("x = 1\ndef helper(part):\n    helper(part)\n", {"helper", {}, "helper", 0}).line == 2);
}

TEST_CASE("a method of a part adds to the whole") {
  const std::string source =
      "model = nn.Linear(4, 4)\n"
      "for step in range(9):\n"
      "    model.layers[0].weight.clone()\n"
      "    model.layers[0].weight.register_hook(mask)\n"
      "    model(x)\n";
  const StoreLine found = store_line(source, {"model", {}, {}, 0});
  CHECK(found.line == 4);
  CHECK(found.grows);
}

TEST_CASE("a queue with a size is limited, one without is not") {
  const std::string put = "    self.ready.put(batch)\n";
  const auto limited = [&](const std::string& made) {
    const std::string source =
        "class Loader:\n  def __init__(self):\n    self.ready = " + made + "\n  def fill(self):\n" + put;
    return store_line(source, {"ready", "Loader", {}, 0}).limited;
  };
  CHECK(limited("queue.Queue(8)"));
  CHECK(limited("queue.Queue(maxsize=limit)"));
  CHECK(limited("LifoQueue(limit)"));
  CHECK(!limited("queue.Queue()"));
  CHECK(!limited("queue.Queue(0)"));
  CHECK(!limited("queue.Queue(maxsize=0)"));
  CHECK(!limited("queue.SimpleQueue()"));
}

TEST_CASE("the call that hands memory over") {
  const std::string source =
      "import atexit\n"
      "def register(x):\n"
      "    pass\n"
      "atexit.register(close)\n"
      "for request in requests:\n"
      "    atexit.register(save, answer)\n"
      "atexit.register(report)\n";
  CHECK(line_of_call(source, "register") == 6);
  CHECK(line_of_call(source, "call_later|register") == 6);
  CHECK(line_of_call(source, "call_later") == 0);
  CHECK(line_of_call("def start(x):\n  @atexit.register\n  def close():\n    return x\n", "register") == 2);
  CHECK(line_of_call("handles = [\n  m.register(f)\n  for m in modules]\n", "register") == 2);
  CHECK(line_of_call("@register.other\ndef close():\n  pass\n", "register") == 0);
}

TEST_CASE("the one use of an object in a loop") {
  const std::string source =
      "score = Mock()\n"
      "score(0)\n"
      "for batch in batches:\n"
      "    score(model(batch))\n"
      "    score.reset()\n";
  CHECK(line_of_use(source, {"score", {}, {}, 0}) == 4);
  CHECK(line_of_use(source + "    score.add(batch)\n", {"score", {}, {}, 0}) == 0);
  CHECK(line_of_use(source, {"batches", {}, {}, 0}) == 0);
}

TEST_CASE("what is given to a library by name says more than what is asked of it") {
  const std::string source =
      "def objective(trial):\n"
      "    size = trial.suggest_int('size', 512, 1024)\n"
      "    rate = trial.suggest_float('rate', 1e-4, 1e-2, log=True)\n"
      "    for _ in range(9):\n"
      "        trial.report(0, 1)\n"
      "    trial.set_user_attr('model', model)\n";
  CHECK(line_of_use(source, {"trial", {}, "objective", 1}) == 6);
  CHECK(line_of_use(source + "    trial.set_user_attr('loss', loss)\n", {"trial", {}, "objective", 1}) == 0);
}

}  // namespace vramtrack::holders
