#include <catch2/catch.hpp>
#include <random>
#include <set>
#include <vector>

#include "sim/core/intervals.hpp"
#include "sim/core/ranges.hpp"

using namespace vramtrack::sim;

TEST_CASE("ranges never overlap, and all of them come back") {
  Ranges ranges;
  constexpr std::uint64_t start = 4096, size = 1 << 16;
  ranges.add(start, size);
  std::mt19937 random(7);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> taken;
  std::vector<bool> used(size / 512);
  const auto mark = [&](std::pair<std::uint64_t, std::uint64_t> range, bool value) {
    for (std::uint64_t at = range.first; at < range.first + range.second; at += 512) {
      const std::size_t i = (at - start) / 512;
      REQUIRE(used[i] != value);
      used[i] = value;
    }
  };
  for (int step = 0; step < 20000; ++step) {
    if (taken.empty() || random() % 2 == 0) {
      const std::uint64_t bytes = (1 + random() % 8) * 512, alignment = 512ull << random() % 4;
      const std::uint64_t at = ranges.take(bytes, alignment);
      if (at == 0) continue;
      REQUIRE(at % alignment == 0);
      taken.emplace_back(at, bytes);
      mark(taken.back(), true);
    } else {
      std::swap(taken[random() % taken.size()], taken.back());
      mark(taken.back(), false);
      ranges.give(taken.back().first, taken.back().second);
      taken.pop_back();
    }
  }
  for (const auto& range : taken) ranges.give(range.first, range.second);
  CHECK(ranges.take(size, 512) == start);  // one whole range again
}

TEST_CASE("intervals agree with a set of bytes") {
  Intervals intervals;
  std::set<std::uint64_t> bytes;
  std::mt19937 random(11);
  for (int step = 0; step < 20000; ++step) {
    const std::uint64_t start = random() % 200, end = start + 1 + random() % 20;
    if (random() % 2 == 0) {
      intervals.add(start, end);
      for (auto at = start; at < end; ++at) bytes.insert(at);
    } else {
      std::set<std::uint64_t> expected, removed;
      for (auto at = start; at < end; ++at) {
        if (bytes.erase(at) != 0) expected.insert(at);
      }
      REQUIRE(intervals.intersects(start, end) == !expected.empty());
      for (const auto& [from, to] : intervals.remove(start, end)) {
        for (auto at = from; at < to; ++at) REQUIRE(removed.insert(at).second);
      }
      REQUIRE(removed == expected);
    }
  }
}
