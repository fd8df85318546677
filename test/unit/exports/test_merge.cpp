// Reports of many ranks in one: sums, spreads, and the rank that differs.
#include "report/compare/merge.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <set>
#include <sstream>

#include "report/compare/merged_timeline.hpp"
#include "report/compare/rank_statistics.hpp"
#include "report/model/read_report.hpp"
#include "report/render/render.hpp"
#include "test/unit/exports/sample_report.hpp"

using namespace vramtrack;
using namespace vramtrack::test;

namespace {

Report rank_report(int rank, int device, Bytes leak) {
  Report report = sample_report();
  report.process.pid = 1000 + rank;
  report.process.rank = rank;
  report.process.hostname = "node0";
  for (SiteReport& site : report.sites) site.device = device;
  report.sites[1].live_bytes = leak;
  for (const char* layer : {"tensor", "cuda"}) {
    Total total;
    total.layer = layer;
    total.kind = layer == std::string("tensor") ? "block" : "device";
    total.device = device;
    for (const SiteReport& site : report.sites) {
      if (site.layer != layer) continue;
      total.live_bytes += site.live_bytes;
      total.live_count += site.live_count;
    }
    report.totals.push_back(total);
  }
  report.ledger = {{device, 80ull << 30, 30 * MiB, 8 * MiB, 12 * MiB, 4 * MiB, {{"torch", 20 * MiB}}, 2 * MiB}};
  Finding finding;
  finding.code = "growing-site";
  finding.file = "/src/train.py";
  finding.line = 10;
  finding.bytes = leak;
  finding.site = SiteId(1);
  report.findings = {finding};
  return report;
}

Report merge(const std::vector<Report>& reports) {
  Merger merger;
  for (const Report& report : reports) merger.add(report, "rank.json");
  return merger.finish();
}

Bytes live(const Report& report, const std::string& layer) {
  Bytes sum = 0;
  for (const SiteReport& site : report.sites) sum += site.layer == layer ? site.live_bytes : 0;
  return sum;
}

}  // namespace

TEST_CASE("spread: lower median, extremes and their ranks") {
  const Spread spread = spread_of({7, 3, 9, 5}, {"a", "b", "c", "d"});
  CHECK(spread.median == 5);
  CHECK(spread.min_rank == "b");
  CHECK(spread.max_rank == "c");
  CHECK(spread_of({4}, {"a"}).median == 4);
}

TEST_CASE("outlier: one that stands out of the usual differences, above or below") {
  CHECK(find_outlier({100, 100, 900, 100}, 1)->rank == 2);
  CHECK(find_outlier({100, 100, 0, 100}, 1)->rank == 2);
  CHECK(find_outlier({100, 900}, 1)->rank == 1);
  CHECK(!find_outlier({100, 100, 900, 100}, 801));
  CHECK(!find_outlier({100, 200, 300, 400, 500}, 1));  // evenly spread: a pipeline, say
  CHECK(!find_outlier({100, 100}, 0));
  CHECK(!find_outlier({100}, 0));
}

TEST_CASE("merge: sums are those of the inputs, per layer, in sites and totals") {
  std::vector<Report> reports;
  for (int rank = 0; rank < 8; ++rank) reports.push_back(rank_report(rank, rank, 6 * MiB));
  const Report merged = merge(reports);
  for (const char* layer : {"tensor", "cuda"}) {
    Bytes expected = 0, totals = 0;
    for (const Report& report : reports) expected += live(report, layer);
    for (const Total& total : merged.totals) totals += total.layer == layer ? total.live_bytes : 0;
    CHECK(live(merged, layer) == expected);
    CHECK(totals == expected);
  }
  CHECK(merged.ranks.members.size() == 8);
  CHECK(merged.ranks.names.front() == "0");
  CHECK(merged.frames.size() == reports[0].frames.size());
  CHECK(merged.ranks.places.size() == 5);  // devices differ, places do not
  CHECK(merged.sites.size() == 40);
  CHECK(!merged.ranks.outlier);
}

TEST_CASE("merge: the rank and the site that differ are named") {
  std::vector<Report> reports;
  for (int rank = 0; rank < 8; ++rank) reports.push_back(rank_report(rank, rank, rank == 5 ? 600 * MiB : 6 * MiB));
  const Report merged = merge(reports);
  REQUIRE(merged.ranks.outlier);
  CHECK(merged.ranks.outlier->rank == "5");
  CHECK(merged.ranks.outlier->measure == "live_bytes");
  CHECK(merged.ranks.outlier->bytes - merged.ranks.outlier->median_bytes == 594 * MiB);
  const std::string& sentence = merged.ranks.outlier->message;
  CHECK(sentence.find("rank 5 holds 594 MiB more") == 0);
  CHECK(sentence.find("model.py") != std::string::npos);
  CHECK(merged.ranks.places.front().live_bytes.by_rank[5] == 600 * MiB);  // the largest spread first
  REQUIRE(merged.findings.size() == 1);                                   // the same of all
}

TEST_CASE("merge: equal findings of ranks on one device are one finding") {
  const Report merged = merge({rank_report(0, 0, 1 * MiB), rank_report(1, 0, 9 * MiB), rank_report(2, 0, 2 * MiB)});
  REQUIRE(merged.findings.size() == 1);
  const Finding& finding = merged.findings[0];
  CHECK(finding.bytes == 9 * MiB);
  CHECK(finding.evidence["ranks"] == Json::array({"0", "1", "2"}));
  CHECK(merged.sites[0].live_bytes == 60 * MiB);
  CHECK(merged.ledger.at(0).driver_used_bytes == 30 * MiB);  // one GPU, shared
  CHECK(merged.ledger.at(0).tensors_live_bytes == 24 * MiB);
}

TEST_CASE("merge: equal findings of ranks with a device each are one finding") {
  const Report merged = merge({rank_report(0, 0, MiB), rank_report(1, 1, 2 * MiB), rank_report(2, 2, MiB)});
  REQUIRE(merged.findings.size() == 1);
  CHECK(merged.findings[0].bytes == 2 * MiB);
  CHECK(merged.findings[0].evidence["ranks"].size() == 3);
}

TEST_CASE("merge: devices that processes number alike are told apart by their UUIDs") {
  std::vector<Report> actors;
  for (const char* uuid : {"a", "b", "b"}) {  // each sees one device, as its number 0; the last two see the same
    actors.push_back(rank_report(static_cast<int>(actors.size()), 0, MiB));
    actors.back().environment.devices = {{0, "GPU", 80ull << 30, uuid}};
  }
  const Report merged = merge(actors);
  REQUIRE(merged.environment.devices.size() == 2);
  REQUIRE(merged.ledger.size() == 2);
  CHECK(merged.ledger[0].tensors_live_bytes == 8 * MiB);
  CHECK(merged.ledger[1].tensors_live_bytes == 16 * MiB);
  CHECK(merged.ledger[1].total_bytes == 80ull << 30);
  CHECK(merged.findings.size() == 1);
  std::set<int> devices;
  for (const SiteReport& site : merged.sites) devices.insert(site.device);
  CHECK(devices == std::set<int>{0, 1});
  // One that sees both, the other way round.
  actors.push_back(rank_report(3, 1, MiB));
  actors.back().environment.devices = {{0, "GPU", 80ull << 30, "b"}, {1, "GPU", 80ull << 30, "a"}};
  CHECK(merge(actors).ledger[0].tensors_live_bytes == 16 * MiB);
}

TEST_CASE("merge: a larger cache of PyTorch's makes no rank stand out") {
  std::vector<Report> ranks = {rank_report(0, 0, MiB), rank_report(1, 1, MiB), rank_report(2, 2, MiB)};
  for (SiteReport& site : ranks[1].sites) {
    if (site.layer == "cuda" && site.owner == "torch") site.live_bytes += 400 * MiB, site.peak_bytes += 400 * MiB;
  }
  CHECK(!merge(ranks).ranks.outlier);
  for (SiteReport& site : ranks[1].sites) {
    if (site.layer == "tensor") site.live_bytes += 40 * MiB;
  }
  CHECK(merge(ranks).ranks.outlier->rank == "1");
}

TEST_CASE("merge: the ledger of a shared GPU adds up") {
  std::vector<Report> ranks{rank_report(0, 0, 1 * MiB), rank_report(1, 0, 2 * MiB)};
  for (Report& report : ranks) {
    report.ledger[0].driver_used_bytes = 50 * MiB;  // of both processes, as each one sees it
    report.ledger[0].owners = {{"torch", 10 * MiB}, {"nccl", 5 * MiB}};
    report.ledger[0].context_and_other_bytes = 35 * MiB;
  }
  const LedgerEntry ledger = merge(ranks).ledger.at(0);
  CHECK(ledger.driver_used_bytes == 50 * MiB);
  CHECK(ledger.context_and_other_bytes == 20 * MiB);
}

TEST_CASE("merge: a site that a rank does not have counts as nothing there") {
  Report without = rank_report(1, 0, 6 * MiB);
  without.sites.erase(without.sites.begin() + 1);
  const Report merged = merge({rank_report(0, 0, 6 * MiB), without, rank_report(2, 0, 6 * MiB)});
  REQUIRE(merged.ranks.outlier);
  CHECK(merged.ranks.outlier->rank == "1");
  CHECK(merged.ranks.outlier->message.find("rank 1 holds 6.00 MiB less") == 0);
}

TEST_CASE("merge: processes of one rank are added up, processes without a rank are named by pid") {
  Report worker = rank_report(0, 0, 1 * MiB), other = rank_report(0, 0, 1 * MiB);
  other.process.pid = 7;
  const Report one_rank = merge({worker, other});
  CHECK(one_rank.ranks.names.size() == 1);
  CHECK(one_rank.ranks.members.size() == 2);
  worker.process.rank.reset();
  const Report mixed = merge({worker, other});
  CHECK(mixed.ranks.names[0] == "pid 1000 on node0");
}

TEST_CASE("merge: the document is a report with more keys, and reads back") {
  std::ostringstream out;
  render::json(merge({rank_report(0, 0, 6 * MiB), rank_report(1, 1, 60 * MiB)}), out);
  const Json json = Json::parse(out.str());
  CHECK(json["schema"] == "vramtrack-report/1");
  CHECK(json["ranks"].size() == 2);
  CHECK(json["outlier"]["rank"] == "1");
  CHECK(json["rank_sites"][0]["live_bytes"]["max_rank"] == "1");
  const Report read = read_report(out.str(), "merged.json");
  CHECK(live(read, "tensor") == (6 + 60 + 4) * MiB + 1024);
  CHECK(read.allocations_omitted.bytes == live(read, "tensor") + live(read, "cuda"));
  std::ostringstream again;
  render::json(read, again);
  CHECK(again.str() == out.str());
}

TEST_CASE("merge: of more ranks than are listed, the statistics outlast the file") {
  std::vector<Report> reports;
  for (int rank = 0; rank < 300; ++rank) reports.push_back(rank_report(rank, 0, (rank == 7 ? 60 : 6) * MiB));
  std::ostringstream out, again;
  render::json(merge(reports), out);
  CHECK(!Json::parse(out.str())["rank_sites"][0]["live_bytes"].contains("by_rank"));
  const Report read = read_report(out.str(), "merged.json");
  CHECK(read.ranks.places.front().live_bytes.max_rank == "7");
  CHECK(read.ranks.outlier->message.find("rank 7 holds 54.0 MiB more") == 0);
  render::json(read, again);
  CHECK(again.str() == out.str());
}

TEST_CASE("merge: memory over time is the sum of the processes, each at its own time") {
  Report first = rank_report(0, 0, 6 * MiB), second = rank_report(1, 0, 6 * MiB);
  first.process.started_at = "2026-02-28T23:59:59.500Z";
  second.process.started_at = "2026-03-01T00:00:01.000Z";
  first.process.duration = second.process.duration = 10;
  first.timeline = {{1, 1, "tensor", 0, 10, 100}, {5, 3, "tensor", 0, 30, 100}};
  second.timeline = {{0.5, 1, "tensor", 0, 7, 50}, {3.5, 2, "tensor", 0, 4, 60}, {4, 2, "cuda", 0, 60, std::nullopt}};
  second.sites[0].last_time = 4;
  second.totals[0].peak_at_time = 0.5;
  for (const bool swapped : {false, true}) {
    const Report merged = swapped ? merge({second, first}) : merge({first, second});
    std::vector<std::pair<double, Bytes>> tensor;
    for (const TimelineEntry& entry : merged.timeline) {
      if (entry.layer == "tensor") tensor.emplace_back(entry.time, entry.live_bytes);
    }
    REQUIRE(tensor.size() == 3);  // the first one's end and the second one's lie at 5 s, both
    CHECK(tensor[0] == std::pair(1.0, Bytes{10}));
    CHECK(tensor[1] == std::pair(2.0, Bytes{17}));
    CHECK(tensor[2] == std::pair(5.0, Bytes{34}));
    CHECK(merged.timeline.back().time == 5.5);
    CHECK(!merged.timeline.back().reserved_bytes);
    CHECK(merged.process.duration == 11.5);
    CHECK(merged.process.started_at == first.process.started_at);
    CHECK(merged.totals.at(1).peak_at_time == 2.0);
    CHECK(merged.sites.at(0).last_time == 5.5);
  }
}

TEST_CASE("merge: the timeline of many processes stays small, keeps the peak and ends at the sum") {
  MergedTimeline merged;
  for (int process = 0; process < 50; ++process) {
    std::vector<TimelineEntry> timeline;
    for (int i = 0; i < 3000; ++i) {
      const Bytes live = i == 1500 ? 1000 : i == 2999 ? 3 : 10;
      timeline.push_back({0.001 * i + 0.00001 * process, 0, "tensor", 0, live, std::nullopt});
    }
    merged.add(timeline, 100);
  }
  const std::vector<TimelineEntry> entries = merged.finish(100);
  CHECK(entries.size() <= 4096);
  CHECK(entries.back().live_bytes == 50 * 3);
  Bytes peak = 0;
  for (const TimelineEntry& entry : entries) peak = std::max(peak, entry.live_bytes);
  CHECK(peak == 50 * 1000);
}

TEST_CASE("merge: what sites held at the peak is added up") {
  Report one = rank_report(0, 0, 6 * MiB);
  one.sites[1].at_peak_bytes = 5;
  one.sites[1].at_peak_count = 2;
  const Report merged = merge({one, one, one});
  const auto site = std::ranges::find(merged.sites, 1u, &SiteReport::id);
  REQUIRE(site != merged.sites.end());
  CHECK(site->at_peak_bytes == 15);
  CHECK(site->at_peak_count == 6);
}

TEST_CASE("merge: times that are no times are not guessed") {
  CHECK(*parse_rfc3339("1970-01-01T00:00:01.250Z") == 1.25);
  CHECK(!parse_rfc3339(""));
  CHECK(!parse_rfc3339("2026-11-23 22:15:01"));
  CHECK(!parse_rfc3339("2026-11-23T22:15:01.0+01:00"));
}

TEST_CASE("merge: thousands of ranks keep one copy of each place") {
  Merger merger;
  std::mt19937 random(3);
  for (int rank = 0; rank < 2000; ++rank) {
    merger.add(rank_report(rank, rank % 8, rank == 1234 ? 300 * MiB : (6 + random() % 2) * MiB), "x");
  }
  const Report merged = merger.finish();
  CHECK(merged.ranks.places.size() == 5);
  CHECK(merged.sites.size() == 40);
  REQUIRE(merged.ranks.outlier);
  CHECK(merged.ranks.outlier->rank == "1234");
}

TEST_CASE("merge: out-of-memory events keep what each call site of their process held") {
  std::vector<Report> reports = {rank_report(0, 0, MiB), rank_report(1, 0, 2 * MiB)};
  reports[1].sites[1].id = SiteId(77);  // ids are a report's own
  for (AllocationReport& allocation : reports[1].allocations)
    allocation.site = allocation.site == 1 ? SiteId(77) : allocation.site;
  reports[1].ooms[0].sites = {{SiteId(77), 9 * MiB, 3}};
  const Report merged = merge(reports);
  REQUIRE(merged.ooms.size() == 2);
  const auto& [first, second] = std::tie(merged.ooms[0], merged.ooms[1]);
  CHECK(first.rank == "0");
  REQUIRE(first.sites.size() == 2);
  CHECK(first.sites[0].live_bytes == 6 * MiB);
  CHECK(first.sites[1].live_bytes == 512);
  CHECK(second.n == 2);
  CHECK(second.rank == "1");
  REQUIRE(second.sites.size() == 1);
  CHECK(second.sites[0].live_bytes == 9 * MiB);
  CHECK(second.sites[0].live_count == 3);
  // The same place in both processes is one site of the job.
  CHECK(second.sites[0].site == first.sites[0].site);
  std::ostringstream written;
  render::json(merged, written);
  const Report read = read_report(written.str(), "merged.json");
  REQUIRE(read.ooms.size() == 2);
  CHECK(read.ooms[1].rank == "1");
  CHECK(read.ooms[1].sites.size() == 1);
}

TEST_CASE("merge: the same mark or phase of each rank is one, with who has it") {
  std::vector<Report> reports;
  for (int rank = 0; rank < 3; ++rank) {
    Report report = rank_report(rank, rank, MiB);
    report.process.started_at =
        rank == 0 ? "2026-11-23T22:15:01Z" : "2026-11-23T22:15:00Z";  // rank 0 began a second later
    report.marks = {{1.0 + rank, "epoch", Bytes{10} * MiB, {}}, {5.0 + rank, "epoch", Bytes{20} * MiB, {}}};
    if (rank == 2) report.marks.push_back({9.0, "only here", std::nullopt, {}});
    report.phases = {{"train", 7, 2.0, 4.0 + rank, {}}, {"evaluate", 7, 6.0, 8.0, {}}};
    if (rank == 1) report.phases[1].end.reset();
    reports.push_back(report);
  }
  const Report merged = merge(reports);
  REQUIRE(merged.marks.size() == 3);
  CHECK(merged.marks[0].name == "epoch");
  CHECK(merged.marks[0].time == 2.0);  // rank 0's at 2, rank 1's at 2, rank 2's at 3, counted from the first start
  CHECK(merged.marks[0].live_bytes == Bytes{30} * MiB);
  CHECK(merged.marks[0].ranks == std::vector<std::string>{"0", "1", "2"});
  CHECK(merged.marks[1].time == 6.0);
  CHECK(merged.marks[1].live_bytes == Bytes{60} * MiB);
  CHECK(merged.marks[2].ranks == std::vector<std::string>{"2"});
  CHECK_FALSE(merged.marks[2].live_bytes);
  REQUIRE(merged.phases.size() == 2);
  CHECK(merged.phases[0].begin == 2.0);
  CHECK(merged.phases[0].end == 6.0);
  CHECK_FALSE(merged.phases[1].end);  // open at the end of rank 1
  std::ostringstream text;
  render::text(merged, text, {});
  CHECK(text.str().find("only here  (rank 2)") != std::string::npos);
  CHECK(text.str().find("epoch  (") == std::string::npos);
  std::ostringstream json, again;
  render::json(merged, json);
  render::json(read_report(json.str(), "merged.json"), again);
  CHECK(again.str() == json.str());
}
