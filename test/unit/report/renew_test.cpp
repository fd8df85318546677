// A report brought up to date from the counters alone says what the whole trace says.
#include "report/load/renew.hpp"

#include "test/unit/report/made_trace.hpp"

using namespace vramtrack;

namespace {

struct Running : test::MadeTrace {
  Running() {
    const StackId first = stack({python("/home/me/train.py", "main", 10, true)}, {});
    const StackId second = stack({python("/home/me/train.py", "main", 20, true)}, {});
    add_cuda(0x1000000, 64 << 20, Kind::device, 0, stack({}, {native("/x/torch/lib/libc10_cuda.so", 0x100)}));
    add_block(0x1000000, 4096, first);
    add_block(0x1002000, 512, second);
  }
};

void same_figures(const Report& a, const Report& b) {
  REQUIRE(a.sites.size() == b.sites.size());
  for (std::size_t i = 0; i < a.sites.size(); ++i) {
    CHECK(a.sites[i].id == b.sites[i].id);
    CHECK(a.sites[i].live_bytes == b.sites[i].live_bytes);
    CHECK(a.sites[i].live_count == b.sites[i].live_count);
    CHECK(a.sites[i].peak_bytes == b.sites[i].peak_bytes);
    CHECK(a.sites[i].allocated_count == b.sites[i].allocated_count);
  }
  REQUIRE(a.totals.size() == b.totals.size());
  for (std::size_t i = 0; i < a.totals.size(); ++i) {
    CHECK(a.totals[i].live_bytes == b.totals[i].live_bytes);
    CHECK(a.totals[i].peak_bytes == b.totals[i].peak_bytes);
    CHECK(a.totals[i].freed_count == b.totals[i].freed_count);
  }
  REQUIRE(a.ledger.size() == b.ledger.size());
  for (std::size_t i = 0; i < a.ledger.size(); ++i) {
    CHECK(a.ledger[i].tensors_live_bytes == b.ledger[i].tensors_live_bytes);
    CHECK(a.ledger[i].cached_bytes == b.ledger[i].cached_bytes);
  }
  CHECK(a.steps.count == b.steps.count);
  CHECK(a.timeline.size() == b.timeline.size());
}

}  // namespace

TEST_CASE("figures renewed from the counters equal those of the whole trace") {
  Running running;
  Report report = running.report();
  for (int i = 0; i < 50; ++i) {
    add_block(0x2000000 + 4096u * static_cast<unsigned>(i), 2048, StackId{1});
    if (i % 3 == 0) remove_block(0x2000000 + 4096u * static_cast<unsigned>(i));
    if (i % 10 == 0) ledger::step();
  }
  remove_block(0x1000000);
  REQUIRE(renew(report, trace::read_counters(running.path)));
  same_figures(report, running.report());
}

TEST_CASE("a new call site needs the whole trace") {
  Running running;
  Report report = running.report();
  add_block(0x3000000, 512, running.stack({running.python("/home/me/train.py", "main", 30, true)}, {}));
  CHECK_FALSE(renew(report, trace::read_counters(running.path)));
  Report again = running.report();
  CHECK(renew(again, trace::read_counters(running.path)));
  again.process.pid += 1;
  CHECK_FALSE(renew(again, trace::read_counters(running.path)));
}

TEST_CASE("counters are the whole trace without what it logged and what lives") {
  Running running;
  const trace::TraceFile counters = trace::read_counters(running.path), whole = running.read();
  CHECK(counters.blocks.empty());
  CHECK(counters.stacks.empty());
  CHECK(counters.strings.empty());
  CHECK(counters.sites.size() == whole.sites.size());
  CHECK(counters.accounts.size() == whole.accounts.size());
  CHECK(counters.timelines.size() == whole.timelines.size());
  CHECK(counters.warnings.empty());
  CHECK_THROWS_AS(trace::read_counters("/nonexistent"), trace::TraceError);
}
