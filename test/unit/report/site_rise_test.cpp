// The floors of sites as programs make them: what rises to the end, and what only looks like it.
#include <catch2/catch.hpp>

#include <algorithm>
#include <deque>
#include <random>

#include "contract/counters.hpp"
#include "report/analysis/site_rise.hpp"

namespace vramtrack {
namespace {

constexpr std::uint64_t kib = 1024, mib = kib * kib;

struct Program {
  trace::Site site{};
  std::deque<std::uint64_t> alive;

  void allocate(std::uint64_t bytes) {
    trace::count_alloc(site, bytes, {});
    alive.push_back(bytes);
  }
  void free_oldest() {
    trace::count_free(site, alive.front(), false, {});
    alive.pop_front();
  }
  void free_all() {
    while (!alive.empty()) free_oldest();
  }
};

}  // namespace

TEST_CASE("a tensor that is replaced by a longer one rises") {
  const int count = GENERATE(24, 50, 120, 1000, 70000);
  Program bank;
  for (int i = 1; i <= count; ++i) {
    bank.allocate(static_cast<std::uint64_t>(i) * 128 * kib);
    if (i > 1) bank.free_oldest();
  }
  INFO(count);
  CHECK(rise_of(bank.site) == Rise::longer);
  const std::vector<std::uint64_t> floors = floors_of(bank.site);
  CHECK(floors.size() >= 5);
  CHECK(floors.back() <= bank.site.live_bytes);
  CHECK(floors.back() >= bank.site.live_bytes / 2);
}

TEST_CASE("what rose until a function let go of all did rise") {
  const std::uint64_t count = GENERATE(64, 100, 1000);
  Program store;
  for (std::uint64_t i = 0; i < count; ++i) store.allocate(512 * kib);
  CHECK(rise_until_let_go(store.site, 256 * kib * count, count / 2) == Rise::none);  // it holds them still
  store.free_all();
  INFO(count);
  CHECK(rise_of(store.site) == Rise::none);
  CHECK(rise_until_let_go(store.site, 256 * kib * count, count / 2) == Rise::more);
  CHECK(rise_until_let_go(store.site, 2 * kib * count, count / 2) == Rise::none);  // others than it makes
}

TEST_CASE("a list that each round begins anew does not rise, though the last one was let go") {
  Program rounds;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 60; ++i) rounds.allocate(512 * kib);
    rounds.free_all();
  }
  CHECK(rise_until_let_go(rounds.site, 30 * mib, 60) == Rise::none);
}

TEST_CASE("a queue that is filled faster than it is emptied rises") {
  const int every = GENERATE(2, 3, 4, 8);
  Program queue;
  for (int i = 1; i <= 400; ++i) {
    queue.allocate(512 * kib);
    if (i % every == 0) queue.free_oldest();
  }
  INFO(every);
  CHECK(rise_of(queue.site) == Rise::more);
}

TEST_CASE("what has a bound, is cleared, or ended does not rise") {
  Program temporaries, window, cleared, ended, few;
  for (int i = 1; i <= 4000; ++i) {
    temporaries.allocate(static_cast<std::uint64_t>(i) * kib);
    temporaries.free_oldest();
    window.allocate(mib);
    if (window.alive.size() > 300) window.free_oldest();
    cleared.allocate(mib);
    if (i % 63 == 0) cleared.free_all();  // close to the stride of the points
    if (i <= 2000) ended.allocate(mib);
    if (i <= 2000 && i % 2 == 0) ended.free_oldest();
  }
  for (int i = 0; i < 2000; ++i) {
    ended.allocate(mib);
    ended.free_oldest();
  }
  for (int i = 1; i < 20; ++i) {
    few.allocate(static_cast<std::uint64_t>(i) * mib);
    if (i > 1) few.free_oldest();
  }
  for (const Program* program : {&temporaries, &window, &cleared, &ended, &few})
    CHECK(rise_of(program->site) == Rise::none);
}

TEST_CASE("lists that are cleared never look like growth, whatever their length") {
  for (int length = 2; length < 400; ++length)
    for (const int count : {500, 1777, 4096, 9000}) {
      Program program;
      for (int i = 1; i <= count; ++i) {
        program.allocate(mib);
        if (i % length == 0) program.free_all();
      }
      if (count < 3 * length) continue;
      INFO(length << " of " << count);
      CHECK(rise_of(program.site) == Rise::none);
    }
}

TEST_CASE("a floor is what the level never fell below since the point before") {
  std::mt19937_64 random(7);
  Program program;
  std::vector<std::uint64_t> levels;  // the least of each stretch between two allocations
  for (int i = 0; i < 5000; ++i) {
    std::uint64_t least = program.site.live_bytes;
    while (!program.alive.empty() && random() % 3 == 0) {
      program.free_oldest();
      least = std::min(least, program.site.live_bytes);
    }
    levels.push_back(least);
    program.allocate(512 * (1 + random() % 5000));
  }
  const std::vector<std::uint64_t> floors = floors_of(program.site);
  const std::size_t stride = std::size_t{1} << program.site.floor_stride;
  const std::uint64_t unit = std::uint64_t{512} << program.site.floor_scale;
  for (std::size_t i = 0; i + 1 < floors.size(); ++i) {
    // A stretch begins behind its first allocation and ends in front of the next point's.
    const auto first = levels.begin() + static_cast<std::ptrdiff_t>(i * stride) + 1;
    const auto last = levels.begin() + static_cast<std::ptrdiff_t>(std::min((i + 1) * stride + 1, levels.size()));
    const std::uint64_t least = *std::min_element(first, last);
    INFO(i);
    CHECK(floors[i] <= least);
    CHECK(least - floors[i] < 2 * unit);
  }
}

TEST_CASE("a trace that kept no floors shows none") {
  trace::Site site{};
  site.allocated_count = 100;
  site.live_count = 1;
  site.live_bytes = mib;
  CHECK(floors_of(site).empty());
  CHECK(rise_of(site) == Rise::none);
}

TEST_CASE("a pool that is replaced at random keeps its level, as does a list that each round begins anew") {
  std::mt19937 random(7);
  Program pool;
  for (int i = 0; i < 400; ++i) {
    pool.allocate(512 * kib);
    if (pool.alive.size() > 50) {
      std::swap(pool.alive.front(), pool.alive[random() % pool.alive.size()]);
      pool.free_oldest();
    }
  }
  CHECK(level_is_kept(pool.site, pool.site.live_bytes));
  Program rounds;
  for (int i = 0; i < 400; ++i) {
    if (i % 20 == 0) rounds.free_all();
    rounds.allocate(512 * kib);
  }
  CHECK(level_is_kept(rounds.site, rounds.site.live_bytes));
}

TEST_CASE("the level of a leak says nothing against it, nor does that of what was let go since") {
  const int every = GENERATE(1, 2, 5);
  Program leak;
  for (int i = 0; i < 400; ++i) {
    leak.allocate(512 * kib);
    if (i % every != 0) {  // a temporary
      std::swap(leak.alive.front(), leak.alive.back());
      leak.free_oldest();
    }
  }
  INFO(every);
  CHECK_FALSE(level_is_kept(leak.site, leak.site.live_bytes));
  const std::uint64_t bytes = leak.site.live_bytes;
  leak.free_all();
  CHECK_FALSE(level_is_kept(leak.site, bytes));
}

}  // namespace vramtrack
