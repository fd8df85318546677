// The search of `vramtrack fit` against worlds that are known: exact, and in few runs.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "tools/fit/search.hpp"

namespace {

using namespace vramtrack::tools::fit;
using vramtrack::Bytes;

constexpr double mib = 1048576;

struct World {
  std::function<double(double)> live;  // MiB at the peak, by value (1 for index 0)
  double slack = 1;                    // reserved is so many times what is live
  double squeezed = 1;                 // and at the limit, where the cache goes back, so many times
  double constant = 0;                 // MiB of it in roles that do not grow
  int runs = 0;

  bool fits(Index index, const Gpu& gpu) const {
    return live(static_cast<double>(index + 1)) * squeezed * mib <= static_cast<double>(gpu.room());
  }
  Trial run(Index index, const Gpu& gpu) {
    ++runs;
    Trial trial;
    trial.out_of_memory = !fits(index, gpu);
    const double now = live(static_cast<double>(index + 1)) * mib;
    trial.peak_live_bytes = trial.needed_bytes = static_cast<Bytes>(now);
    // Segments come in steps of 20 MiB.
    trial.used_bytes = static_cast<Bytes>(std::ceil(now * slack / (20 * mib)) * 20 * mib);
    trial.roles["parameter"] = {static_cast<Bytes>(constant * mib), 1};
    return trial;
  }
};

Gpu device(double gib) {
  Gpu gpu;
  gpu.total_bytes = static_cast<std::uint64_t>(gib * 1024 * mib);
  return gpu;
}

/// Compares the answers with brute force.
void check(World world, const std::vector<Gpu>& gpus, Index count, int most_runs) {
  const Gpu large = device(512);
  Search search(gpus, count, [&](Index index, std::optional<std::size_t> gpu) {
    REQUIRE(index >= 0);
    REQUIRE(index < count);
    return world.run(index, gpu ? gpus[*gpu] : large);
  });
  const std::vector<Answer> answers = search.find();
  REQUIRE(answers.size() == gpus.size());
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    Index largest = -1;
    while (largest + 1 < count && world.fits(largest + 1, gpus[i])) ++largest;
    CHECK(answers[i].largest == largest);
    CHECK(answers[i].at_largest.has_value() == (largest >= 0));
  }
  CHECK(world.runs <= most_runs);
}

}  // namespace

TEST_CASE("a straight line takes two runs for the line and two for each device") {
  World world{[](double v) { return 500 + 40 * v; }, 1, 1, 480};
  check(world, {device(8)}, 1024, 4);
  check(world, {device(8), device(24), device(80)}, 4096, 9);
}

TEST_CASE("all values fit, or none, or there is one alone") {
  World world{[](double v) { return 500 + 40 * v; }, 1, 1, 480};
  check(world, {device(80)}, 64, 3);
  check(world, {device(0.25)}, 64, 4);
  check(world, {device(8)}, 1, 2);
  check(world, {device(0.25)}, 1, 2);
  check(world, {device(8)}, 2, 4);
}

TEST_CASE("a bend, where the peak moves from the optimizer to the backward pass") {
  for (const double from : {3.0, 17.0, 60.0, 150.0}) {
    World world{[=](double v) { return std::max(4000.0, 4000 + 35 * (v - from)); }, 1.02, 1, 3900};
    check(world, {device(8), device(16)}, 1024, 24);
  }
}

TEST_CASE("a square") {
  World world{[](double v) { return 200 + 3 * v + 0.4 * v * v; }, 1.1, 1.02, 150};
  check(world, {device(8), device(24)}, 512, 36);
}

TEST_CASE("an allocator that gives its cache back at the limit") {
  for (const double slack : {1.05, 1.3, 1.8}) {
    World world{[](double v) { return 300 + 21 * v; }, slack, 1.01, 250};
    check(world, {device(8)}, 1024, 20);
  }
}

TEST_CASE("most of the first value's memory is workspaces and the allocator's slack") {
  World world{[](double v) { return 440 + 19.6 * v; }, 1.12, 1.03, 420};
  check(world, {device(1)}, 64, 8);
}

TEST_CASE("the value does nothing, or runs out on every device") {
  check({[](double) { return 900.0; }, 1, 1, 300}, {device(8), device(0.5)}, 1024, 16);
  check({[](double v) { return v < 3 ? 300.0 : 1e9; }, 1, 1, 250}, {device(8)}, 1024, 26);
  check({[](double) { return 1e9; }, 1, 1, 250}, {device(8)}, 64, 8);
}
