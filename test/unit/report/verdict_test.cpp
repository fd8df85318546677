// Histories of sites as training programs make them: the guilty must be "growing", the innocent must not.
#include "report/analysis/verdict.hpp"

#include <catch2/catch.hpp>
#include <deque>
#include <functional>
#include <random>

using namespace vramtrack;

namespace {

/// A run of `steps` steps of 0.1 s; births are added as a program would make them.
struct Run {
  std::uint32_t steps;
  SiteHistory history;
  std::uint64_t temporaries = 1000;

  explicit Run(std::uint32_t count) : steps(count) {
    history.first_step = 0;
    history.first_time = 0.01;
  }
  static double time_of(double step) { return 0.05 + 0.1 * step; }
  void keep(std::uint32_t step, Bytes bytes = 512, double within = 0) {
    history.survivors.push_back({step, time_of(step + within), bytes});
    ++history.allocated_count;
  }
  void freed(std::uint64_t count, double last_step) {
    history.freed_count += count;
    history.allocated_count += count;
    history.last_free_time = time_of(last_step);
  }
  void starts_at(std::uint32_t step) {
    history.first_step = step;
    history.first_time = time_of(step);
  }
  Verdict verdict() const { return judge(history, {steps, time_of(steps), temporaries, nullptr}); }
};

std::string name(const Run& run) { return run.verdict().verdict; }

}  // namespace

TEST_CASE("a block kept in every step is growing, with its rate") {
  const std::uint32_t steps = GENERATE(8u, 10u, 20u, 118u, 5000u);
  Run run(steps);
  for (std::uint32_t step = 0; step < steps; ++step) run.keep(step, 512);
  const Verdict verdict = run.verdict();
  INFO(steps << " " << verdict.evidence);
  CHECK(verdict.verdict == "growing");
  REQUIRE(verdict.growth.bytes_per_step);
  CHECK(*verdict.growth.bytes_per_step == Approx(512).epsilon(0.1));
  CHECK(verdict.growth.bytes_per_second == Approx(5120).epsilon(0.2));
  CHECK(verdict.growth.steps_spanned == steps);
}

TEST_CASE("several blocks a step, a block every tenth step, and a leak among temporaries are growing") {
  Run several(50);
  for (std::uint32_t step = 0; step < 50; ++step) {
    for (int i = 0; i < 30; ++i) several.keep(step, 1 << 20);
  }
  CHECK(name(several) == "growing");
  CHECK(*several.verdict().growth.bytes_per_step == Approx(30 << 20).epsilon(0.1));

  Run seldom(200);
  for (std::uint32_t step = 0; step < 200; step += 10) seldom.keep(step);
  CHECK(name(seldom) == "growing");

  Run among(200);
  for (std::uint32_t step = 0; step < 200; step += 10) among.keep(step);
  among.freed(20000, 199);
  CHECK(name(among) == "growing");

  std::mt19937 random(3);
  Run chance(400);
  for (std::uint32_t step = 0; step < 400; ++step) {
    if (random() % 7 == 0) chance.keep(step);
  }
  chance.freed(400, 399);
  CHECK(name(chance) == "growing");
}

TEST_CASE("a leak that begins late is growing") {
  // The site's own first allocation comes late.
  Run late(300);
  late.starts_at(200);
  for (std::uint32_t step = 200; step < 300; ++step) late.keep(step);
  CHECK(name(late) == "growing");

  // The site frees what it allocates for 100 steps, then keeps everything.
  Run turned(300);
  turned.freed(100, 99);
  for (std::uint32_t step = 100; step < 300; ++step) turned.keep(step);
  CHECK(name(turned) == "growing");
}

TEST_CASE("parameters and optimizer state are steady") {
  Run parameters(500);
  for (int i = 0; i < 48; ++i) parameters.keep(0, 4 << 20, 0.01 * i);
  CHECK(name(parameters) == "steady");
  CHECK(*parameters.verdict().growth.bytes_per_step == 0);

  Run ema(500);
  for (int i = 0; i < 48; ++i) ema.keep(1, 4 << 20);
  CHECK(name(ema) == "steady");

  // Optimizer state is made in the first step of each parameter: experts that are used for the first time later on.
  Run experts(500);
  for (const std::uint32_t step : {0u, 0u, 0u, 0u, 1u, 1u, 2u, 3u, 5u, 8u, 13u, 40u}) experts.keep(step);
  CHECK(name(experts) == "steady");
}

TEST_CASE("gradients and the last step's activations are recent") {
  Run gradients(100);
  for (int i = 0; i < 48; ++i) gradients.keep(99, 4 << 20);
  gradients.freed(48 * 99, 99);
  CHECK(name(gradients) == "recent");

  // Accumulated over 4 backward passes: born in the last step's first pass, or at the end.
  Run two(100);
  for (int i = 0; i < 20; ++i) two.keep(98 + static_cast<std::uint32_t>(i) % 3, 4 << 20);
  two.freed(2000, 99);
  CHECK(name(two) == "recent");

  Run temporaries(100);
  temporaries.freed(4000, 99);
  CHECK(name(temporaries) == "recent");
}

TEST_CASE("bounded buffers are not growing") {
  const std::uint32_t capacity = GENERATE(3u, 10u, 50u, 200u, 350u, 480u);
  INFO("the last " << capacity << " of 500 steps");
  Run window(500);
  for (std::uint32_t step = 500 - capacity; step < 500; ++step) window.keep(step);
  window.freed(500 - capacity, 499);
  CHECK(name(window) != "growing");

  // Replacement at random: the number alive at each age falls off exponentially.
  std::mt19937 random(capacity);
  std::vector<std::uint32_t> slots(capacity);
  const std::uint32_t steps = 20 * capacity;
  for (std::uint32_t step = 0; step < steps; ++step) {
    slots[step < capacity ? step : random() % capacity] = step;
  }
  Run replaced(steps);
  for (const std::uint32_t step : slots) replaced.keep(step);
  replaced.freed(steps - capacity, steps - 1);
  CHECK(name(replaced) != "growing");
}

TEST_CASE("whatever evicts blocks of earlier steps is not growing") {
  // Replacement at random, young: nothing in the births alone tells it from a leak.
  Run young(60);
  std::mt19937 random(1);
  std::vector<std::uint32_t> slots(20);
  for (std::uint32_t step = 0; step < 60; ++step) slots[step < 20 ? step : random() % 20] = step;
  for (const std::uint32_t step : slots) young.keep(step);
  young.freed(40, 59);
  young.history.freed_late = 37;
  CHECK(name(young) != "growing");

  // A leak that loses a block now and then still grows.
  Run leaking(100);
  for (std::uint32_t step = 0; step < 100; ++step) {
    if (step % 20 != 7) leaking.keep(step);
  }
  leaking.freed(5, 99);
  leaking.history.freed_late = 5;
  CHECK(name(leaking) == "growing");
}

TEST_CASE("a list that is cleared now and then is not growing") {
  Run cleared(100);  // cleared every 20 steps, the last time at step 80
  for (std::uint32_t step = 80; step < 100; ++step) cleared.keep(step);
  cleared.freed(80, 80);
  // The frees ended as the oldest survivor was born: seen from the end this is one cycle of a bounded list.
  cleared.history.last_free_time = Run::time_of(80.5);
  CHECK(name(cleared) != "growing");
}

TEST_CASE("caches that fill up are not growing") {
  Run shapes(1000);  // one entry for each new length seen: fewer and fewer
  std::mt19937 random(5);
  std::vector<bool> seen(64);
  for (std::uint32_t step = 0; step < 1000; ++step) {
    const std::size_t length = random() % 64;
    if (!seen[length]) shapes.keep(step);
    seen[length] = true;
  }
  CHECK(name(shapes) == "steady");
}

TEST_CASE("a few steps are no evidence") {
  Run run(4);
  for (std::uint32_t step = 0; step < 4; ++step) run.keep(step);
  CHECK(name(run) != "growing");
}

TEST_CASE("segments and workspaces are cache, growing or not") {
  Run segments(100);
  for (std::uint32_t step = 0; step < 100; ++step) segments.keep(step);
  segments.history.purpose = Purpose::allocator_segment;
  CHECK(name(segments) == "cache");

  Run workspace(100);
  workspace.keep(0, 8519680);
  workspace.history.purpose = Purpose::workspace;
  CHECK(name(workspace) == "cache");

  Run leaked(100);  // a handle made in every step: its workspaces are a leak all the same
  for (std::uint32_t step = 0; step < 100; ++step) leaked.keep(step, 8519680);
  leaked.history.purpose = Purpose::workspace;
  CHECK(name(leaked) == "growing");
}

TEST_CASE("one-off") {
  Run run(100);
  run.starts_at(50);
  run.keep(50);
  CHECK(name(run) == "one-off");
  Run freed(100);
  freed.freed(1, 50);
  CHECK(name(freed) == "one-off");
}

TEST_CASE("without a step clock time tells, if other blocks come and go") {
  SiteHistory history;
  history.first_time = 1;
  for (int i = 0; i < 100; ++i) history.survivors.push_back({0, 1 + 0.1 * i, 4096});
  history.allocated_count = 100;
  const Verdict verdict = judge(history, {0, 11, 5000, nullptr});
  CHECK(verdict.verdict == "growing");
  CHECK_FALSE(verdict.growth.bytes_per_step);
  CHECK(verdict.growth.bytes_per_second == Approx(41400).epsilon(0.02));

  CHECK(judge(history, {0, 11, 3, nullptr}).verdict == "steady");  // a model being built: nothing else comes and goes
  CHECK(judge(history, {0, 60, 5000, nullptr}).verdict == "steady");  // it stopped long before the end
}

TEST_CASE("a buffer that is replaced at random is not growing without a step clock either") {
  const int capacity = GENERATE(10, 20, 50, 200, 1000);
  const int turns = capacity * GENERATE(4, 8, 20, 100);
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    std::vector<int> slots(static_cast<std::size_t>(capacity));
    for (int turn = 0; turn < turns; ++turn)
      slots[static_cast<std::size_t>(turn < capacity ? turn : static_cast<int>(random() % slots.size()))] = turn;
    SiteHistory history;
    history.first_time = 1;
    for (const int turn : slots) history.survivors.push_back({0, 1 + 0.01 * turn, 4096});
    history.allocated_count = static_cast<std::uint64_t>(turns);
    history.freed_count = static_cast<std::uint64_t>(turns - capacity);
    history.last_time = history.last_free_time = 1 + 0.01 * (turns - 1);
    ActivityClock activity;
    for (int turn = 0; turn < turns; ++turn) activity.add(1 + 0.01 * turn, 12);
    const Verdict verdict = judge(history, {0, history.last_time, 6u * static_cast<unsigned>(turns), &activity});
    INFO(capacity << " slots, " << turns << " turns, seed " << seed << ": " << verdict.evidence);
    CHECK(verdict.verdict != "growing");
  }
}

TEST_CASE("activity is the clock where there are no steps") {
  // Predictions kept in a loop of 10 events, after a slow first one (0.5 s), and 2 s of nothing at the end.
  ActivityClock activity;
  SiteHistory history;
  history.first_time = 0.01;
  for (int i = 0; i < 120; ++i) {
    const double time = i == 0 ? 0.49 : 0.5 + 0.001 * i;
    history.survivors.push_back({0, time, 4096});
    activity.add(time + 0.0005, 10);
  }
  history.allocated_count = 480;
  history.freed_count = 360;
  history.last_free_time = 0.619;
  CHECK(judge(history, {0, 0.62, 700, &activity}).verdict == "growing");
  CHECK(judge(history, {0, 0.62, 700, nullptr}).verdict != "growing");
  activity.add(1.0, 20000);  // long work afterwards that keeps nothing: it was a phase
  CHECK(judge(history, {0, 1.0, 9000, &activity}).verdict != "growing");
}

TEST_CASE("an evaluation loop after training is judged by time") {
  SiteHistory history;  // predictions kept while evaluating, after step 100 of 100
  history.first_time = 50;
  history.first_step = 100;
  for (int i = 0; i < 120; ++i) history.survivors.push_back({100, 50 + 0.1 * i, 4096});
  history.allocated_count = 120;
  CHECK(judge(history, {100, 62, 9000, nullptr}).verdict == "growing");

  for (Birth& birth : history.survivors) birth.step = 0;  // the model, built before training
  CHECK(judge(history, {100, 62, 9000, nullptr}).verdict == "steady");
}

namespace {

/// Without a step clock: `count` blocks that stay, and between two of them `others` that come and go.
struct Loop {
  SiteHistory history;
  ActivityClock activity;
  std::vector<double> births;

  Loop(int count, unsigned others) {
    for (int i = 0; i < count; ++i) {
      const double time = 1 + 0.01 * i;
      history.survivors.push_back({0, time, 4096});
      births.push_back(time);
      activity.add(time, 1 + 2 * others);
    }
    history.first_time = 1;
    history.last_time = births.back();
    history.allocated_count = static_cast<std::uint64_t>(count);
  }
  std::string verdict() const {
    return judge(history, {0, history.last_time + 0.001, 100000, &activity, &births}).verdict;
  }
};

}  // namespace

TEST_CASE("a model, a data set or a cache that is being filled is not growing: nothing comes and goes meanwhile") {
  CHECK(Loop(200, 0).verdict() == "steady");  // whatever was freed before: 100,000 blocks
  CHECK(Loop(200, 3).verdict() == "growing");
  CHECK(Loop(200, 1).verdict() == "growing");  // one for each but the last
}

TEST_CASE("a short wait before the last event is that of a busy machine") {
  Loop loop(200, 2);  // 2 s
  const auto after = [&](double wait) {
    return judge(loop.history, {0, loop.history.last_time + wait, 100000, &loop.activity, &loop.births}).verdict;
  };
  CHECK(after(8) == "growing");
  CHECK(after(60) == "steady");
}

TEST_CASE("one pass over the layers of a model is not growing without a step clock") {
  CHECK(Loop(80, 6).verdict() == "steady");  // as many layers as the largest models have
  Loop backward(400, 6);                     // gradients: of a module, as the agent says
  backward.history.of_model = 400;
  CHECK(backward.verdict() == "steady");
}

TEST_CASE("a model may get layers in stages; one that gets adapters in every third step to the end grows") {
  const auto verdict_of = [](std::uint32_t stages, std::uint32_t after) {
    SiteHistory history;
    for (std::uint32_t stage = 0; stage < stages; ++stage)
      for (int block = 0; block < 16; ++block) history.survivors.push_back({3 * stage, 1.0 + stage, 4096});
    history.of_model = history.allocated_count = history.survivors.size();
    history.last_time = stages;
    return judge(history, {3 * stages + after, stages + 1.0, 100000, nullptr, nullptr}).verdict;
  };
  CHECK(verdict_of(8, 0) == "steady");
  CHECK(verdict_of(31, 0) == "growing");
  CHECK(verdict_of(31, 3) == "growing");  // the youngest may be a variable's
  CHECK(verdict_of(31, 12) == "steady");  // it ended
}

TEST_CASE("what was loaded first and used then is not growing") {
  Loop loop(200, 3);
  for (int i = 1; i <= 20; ++i) loop.activity.add(3 + 0.01 * i, 7);  // a tenth of the loop's work afterwards
  loop.history.last_time = 3.2;
  CHECK(loop.verdict() != "growing");
}

TEST_CASE("few that are each put with the others when the next is being made go on; when none is, they ended") {
  Run run(64);
  for (std::uint32_t step = 0; step <= 55; step += 5) run.keep(step, 1 << 20);
  CHECK(name(run) != "growing");
  run.history.made_until = 60;
  CHECK(name(run) == "growing");
  Run ended(80);
  for (std::uint32_t step = 0; step <= 55; step += 5) ended.keep(step, 1 << 20);
  ended.history.made_until = 60;
  CHECK(name(ended) != "growing");
}
