// The bands of the event history against the replay of the same events: every level was really reached.
#include <algorithm>
#include <random>

#include "../trace/temporary_trace.hpp"
#include "contract/history_reader.hpp"
#include "contract/replay.hpp"
#include "interpose/ledger/history.hpp"
#include "report/analysis/history_bands.hpp"

using namespace vramtrack;

namespace {

struct HistoryTrace : TemporaryTrace {
  HistoryTrace() { ledger::start_history(); }
  ~HistoryTrace() { ledger::forget_history(); }

  /// Allocations and frees of `stacks` call sites on `devices` devices, a step now and then.
  void run(int events, std::uint32_t stacks, int devices) {
    std::mt19937_64 random(11);
    for (int i = 0; i < events; ++i) {
      const auto device = static_cast<std::int16_t>(random() % static_cast<std::uint64_t>(devices));
      const std::uint64_t address = (1 + random() % 3000) << 9;
      if (!remove_block(address, device)) {
        const auto stack = static_cast<StackId>(random() % stacks);
        add_block(address, (1 + number_of(stack)) * 512, stack, device);
      }
      if (i % 200 == 199) ledger::step();
    }
    ledger::flush();
  }
};

Bytes sum_of_bands(const HistoryBands& plot, std::size_t bucket) {
  Bytes sum = 0;
  for (const HistoryBand& band : plot.bands) sum += band.bytes[bucket];
  return sum;
}

}  // namespace

TEST_CASE("bands add up to the level that the replay finds in each bucket") {
  HistoryTrace t;
  t.run(60'000, 30, 2);
  const trace::TraceFile file = t.read();
  trace::HistoryReader reader(t.path);
  const auto plots = history_bands(reader, file, {}, {200, 1000});
  const auto lines = trace::replay_timelines(reader, file, 200);
  REQUIRE(plots.size() == 2);
  REQUIRE(lines.size() == 2);
  for (std::size_t device = 0; device < 2; ++device) {
    const HistoryBands& plot = plots[device];
    CHECK(plot.layer == "tensor");
    CHECK(plot.device == static_cast<int>(device));
    CHECK(plot.bands.size() == 30);
    REQUIRE(plot.total_bytes.size() == 200);
    for (std::size_t i = 0; i < lines[device].live_bytes.size(); ++i) {
      REQUIRE(plot.total_bytes[i] == lines[device].live_bytes[i]);
      REQUIRE(sum_of_bands(plot, i) == plot.total_bytes[i]);
    }
    CHECK(std::ranges::max(plot.total_bytes) == lines[device].peak_bytes);
    CHECK(std::ranges::is_sorted(plot.steps));
    CHECK(plot.steps.back() == 60'000 / 200 - 1);  // the last step ends after the last event
  }
}

TEST_CASE("only the largest sites have a band, the total counts all") {
  HistoryTrace t;
  t.run(20'000, 50, 1);
  const trace::TraceFile file = t.read();
  trace::HistoryReader reader(t.path);
  const auto all = history_bands(reader, file, {}, {64, 1000});
  const auto some = history_bands(reader, file, {}, {64, 10});
  REQUIRE(some.size() == 1);
  REQUIRE(some[0].bands.size() == 10);
  CHECK(some[0].total_bytes == all[0].total_bytes);
  for (const HistoryBand& band : some[0].bands) {
    const auto same = std::ranges::find(all[0].bands, band.site, &HistoryBand::site);
    REQUIRE(same != all[0].bands.end());
    CHECK(same->bytes == band.bytes);
  }
  std::vector<Bytes> peaks;
  for (const trace::Site& site : file.sites) peaks.push_back(site.own_peak_bytes);
  std::ranges::sort(peaks, std::greater());
  for (const HistoryBand& band : some[0].bands) CHECK(file.sites[band.site].own_peak_bytes >= peaks[9]);
}

TEST_CASE("a trace without a history has no bands") {
  TemporaryTrace t;
  add_block(512, 512);
  trace::HistoryReader reader(t.path);
  CHECK(history_bands(reader, t.read(), {}).empty());
}

TEST_CASE("a long history becomes a few bands") {
  HistoryTrace t;
  t.run(1'000'000, 400, 1);
  const trace::TraceFile file = t.read();
  trace::HistoryReader reader(t.path);
  const auto plots = history_bands(reader, file, {});
  REQUIRE(plots.size() == 1);
  CHECK(plots[0].bands.size() == 40);
  std::uint64_t events = 0;
  reader.for_each_event([&](const trace::HistoryEvent&) { ++events; });
  CHECK(events + reader.dropped_events() == 1'000'000);  // a loop without work is faster than the history's writer
}

TEST_CASE("roles and phases of all sites add up to the total") {
  HistoryTrace t;
  t.run(20'000, 50, 1);
  const trace::TraceFile file = t.read();
  std::vector<SiteReport> labels;
  for (std::uint32_t i = 0; i < file.sites.size(); ++i) {
    SiteReport label;
    label.id = SiteId(i);
    label.role = i % 3 == 0 ? "activation" : i % 3 == 1 ? "gradient" : "";
    label.phase = i % 2 == 0 ? "forward" : "backward";
    labels.push_back(label);
  }
  trace::HistoryReader reader(t.path);
  const auto plots = history_bands(reader, file, labels, {64, 10});
  REQUIRE(plots.size() == 1);
  CHECK(plots[0].roles.size() == 3);
  CHECK(plots[0].roles[2].name == "unknown");
  CHECK(plots[0].phases.size() == 2);
  CHECK(plots[0].bands.size() == 10);
  for (std::size_t bucket = 0; bucket < 64; ++bucket) {
    Bytes roles = 0, phases = 0;
    for (const HistorySum& sum : plots[0].roles) roles += sum.bytes[bucket];
    for (const HistorySum& sum : plots[0].phases) phases += sum.bytes[bucket];
    REQUIRE(roles == plots[0].total_bytes[bucket]);
    REQUIRE(phases == plots[0].total_bytes[bucket]);
  }
}
