// The decimating time series against the step function that it stands for.
#include <map>
#include <random>

#include "interpose/ledger/state.hpp"
#include "temporary_trace.hpp"

using namespace vramtrack;
using namespace vramtrack::trace;

namespace {

struct Series {
  Header header{};
  Account account{};
  Timeline timeline{};
  ledger::AccountState state;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> levels;  // (time, level from then on)

  Series() {
    clock_init();
    header.clock.start_ticks = 1000;
    state.account = &account;
    state.timeline = &timeline;
  }
  void set(std::uint64_t time, std::uint64_t level) {
    const std::uint64_t before = account.live_bytes;
    account.live_bytes = level;
    ledger::timeline_event(header, state, {time, 0, 0}, before);
    levels.emplace_back(time, level);
  }
  std::uint64_t interval_of(std::uint64_t time) const { return (time - 1000) / timeline.interval; }

  // The largest level of each interval, computed from all events.
  void check() const {
    std::map<std::uint64_t, std::uint64_t> largest;
    std::uint64_t last = interval_of(levels.front().first), level = 0;
    for (const auto& [time, next] : levels) {
      const std::uint64_t now = interval_of(time);
      for (std::uint64_t i = last; i <= now; ++i) largest[i] = std::max(largest[i], level);
      largest[now] = std::max(largest[now], next);
      last = now;
      level = next;
    }
    std::map<std::uint64_t, std::uint64_t> points;
    std::uint64_t events = 0;
    for (std::uint32_t i = 0; i < timeline.count; ++i) {
      const TimelinePoint& p = timeline.points[i];
      if (i != 0) REQUIRE(p.time > timeline.points[i - 1].time);
      REQUIRE(points.emplace(interval_of(p.time), p.live_bytes).second);
      events += p.events;
    }
    CHECK(events == levels.size());
    std::uint64_t shown = 0;
    for (const auto& [interval, expected] : largest) {
      if (const auto point = points.find(interval); point != points.end()) shown = point->second;
      INFO("interval " << interval << " of " << largest.size());
      REQUIRE(shown == expected);
    }
  }
};

}  // namespace

TEST_CASE("the time series shows the largest level of every interval") {
  const auto seed = GENERATE(range(1u, 65u));  // many: where points merge depends on this machine's clock rate too
  std::mt19937_64 random(seed);
  Series series;
  const std::uint64_t unit = ticks_in(1'000'000);
  std::uint64_t time = 1000 + random() % (10 * unit);
  std::uint64_t peak = 0;
  const int events = 200 + static_cast<int>(seed % 8) * 3000;
  for (int i = 0; i < events; ++i) {
    const std::uint64_t level = random() % 100 == 0 ? random() % 1'000'000 : random() % 1000;
    series.set(time, level);
    peak = std::max(peak, level);
    // Bursts, single steps and long silences.
    const auto what = random() % 20;
    time += 1 + (what == 0 ? random() % (400 * unit) : what < 5 ? random() % (3 * unit) : random() % (unit / 20));
  }
  series.check();
  std::uint64_t largest = 0;
  for (std::uint32_t i = 0; i < series.timeline.count; ++i)
    largest = std::max(largest, series.timeline.points[i].live_bytes);
  CHECK(largest == peak);
  CHECK(series.timeline.count <= timeline_points);
  if (seed % 8 > 3) CHECK(series.timeline.interval > unit);
}

TEST_CASE("a spike before a long silence does not last through it") {
  Series series;
  const std::uint64_t unit = ticks_in(1'000'000);
  std::uint64_t time = 1000;
  for (int i = 0; i < 5000; ++i) {
    series.set(time, 1'000'000);
    series.set(time + 1, 5);
    time += 50 * unit;
  }
  series.check();
}

TEST_CASE("a ledger's time series reaches the file") {
  TemporaryTrace t;
  add_block(64, 1000);
  remove_block(64);
  add_block(64, 10);
  const TraceFile file = t.read();
  REQUIRE(file.timelines.size() == 1);
  CHECK(file.accounts[file.timelines[0].account].kind == static_cast<std::uint8_t>(Kind::all));
  std::uint64_t largest = 0, events = 0;
  for (const TimelinePoint& p : file.timelines[0].points) {
    largest = std::max(largest, p.live_bytes);
    events += p.events;
  }
  CHECK(largest == 1000);
  CHECK(events == 3);
  CHECK(file.seconds_of(file.timelines[0].interval) == Approx(0.001 / 64).epsilon(0.1));
}
