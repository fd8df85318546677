// Reports of many ranks in one: sums, spreads, and the rank that differs.
#include "report/merge.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <sstream>

#include "report/read_report.hpp"
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
  finding.site = 1;
  report.findings = {finding};
  return report;
}

MergedReport merge(const std::vector<Report>& reports) {
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
  const Spread spread = spread_of({7, 3, 9, 5});
  CHECK(spread.median_bytes == 5);
  CHECK(spread.min_rank == 1);
  CHECK(spread.max_rank == 2);
  CHECK(spread_of({4}).median_bytes == 4);
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
  const MergedReport merged = merge(reports);
  for (const char* layer : {"tensor", "cuda"}) {
    Bytes expected = 0, totals = 0;
    for (const Report& report : reports) expected += live(report, layer);
    for (const Total& total : merged.report.totals) totals += total.layer == layer ? total.live_bytes : 0;
    CHECK(live(merged.report, layer) == expected);
    CHECK(totals == expected);
  }
  CHECK(merged.members.size() == 8);
  CHECK(merged.ranks.front() == "0");
  CHECK(merged.report.frames.size() == reports[0].frames.size());
  CHECK(merged.places.size() == 5);         // devices differ, places do not
  CHECK(merged.report.sites.size() == 40);
  CHECK(!merged.outlier);
}

TEST_CASE("merge: the rank and the site that differ are named") {
  std::vector<Report> reports;
  for (int rank = 0; rank < 8; ++rank) reports.push_back(rank_report(rank, rank, rank == 5 ? 600 * MiB : 6 * MiB));
  const MergedReport merged = merge(reports);
  REQUIRE(merged.outlier);
  CHECK(merged.ranks[merged.outlier->outlier.rank] == "5");
  CHECK(merged.outlier->measure == "live_bytes");
  CHECK(merged.outlier->outlier.distance() == 594 * MiB);
  const std::string sentence = describe_outlier(merged);
  CHECK(sentence.find("rank 5 holds 594 MiB more") == 0);
  CHECK(sentence.find("model.py") != std::string::npos);
  CHECK(merged.places.front().live_bytes[5] == 600 * MiB);  // the largest spread first
  REQUIRE(merged.report.findings.size() == 8);              // per device its own site
}

TEST_CASE("merge: equal findings of ranks on one device are one finding") {
  const MergedReport merged =
      merge({rank_report(0, 0, 1 * MiB), rank_report(1, 0, 9 * MiB), rank_report(2, 0, 2 * MiB)});
  REQUIRE(merged.report.findings.size() == 1);
  const Finding& finding = merged.report.findings[0];
  CHECK(finding.bytes == 9 * MiB);
  CHECK(finding.evidence["ranks"] == Json::array({"0", "1", "2"}));
  CHECK(merged.report.sites[0].live_bytes == 60 * MiB);
  CHECK(merged.report.ledger.at(0).driver_used_bytes == 30 * MiB);  // one GPU, shared
  CHECK(merged.report.ledger.at(0).tensors_live_bytes == 24 * MiB);
}

TEST_CASE("merge: a site that a rank does not have counts as nothing there") {
  Report without = rank_report(1, 0, 6 * MiB);
  without.sites.erase(without.sites.begin() + 1);
  const MergedReport merged = merge({rank_report(0, 0, 6 * MiB), without, rank_report(2, 0, 6 * MiB)});
  REQUIRE(merged.outlier);
  CHECK(merged.ranks[merged.outlier->outlier.rank] == "1");
  CHECK(describe_outlier(merged).find("rank 1 holds 6.00 MiB less") == 0);
}

TEST_CASE("merge: processes of one rank are added up, processes without a rank are named by pid") {
  Report worker = rank_report(0, 0, 1 * MiB), other = rank_report(0, 0, 1 * MiB);
  other.process.pid = 7;
  const MergedReport one_rank = merge({worker, other});
  CHECK(one_rank.ranks.size() == 1);
  CHECK(one_rank.members.size() == 2);
  worker.process.rank.reset();
  const MergedReport mixed = merge({worker, other});
  CHECK(mixed.ranks[0] == "pid 1000 on node0");
}

TEST_CASE("merge: the document is a report with more keys, and reads back") {
  std::ostringstream out;
  render::merged_json(merge({rank_report(0, 0, 6 * MiB), rank_report(1, 1, 60 * MiB)}), out);
  const Json json = Json::parse(out.str());
  CHECK(json["schema"] == "vramtrack-report/1");
  CHECK(json["ranks"].size() == 2);
  CHECK(json["outlier"]["rank"] == "1");
  CHECK(json["rank_sites"][0]["live_bytes"]["max_rank"] == "1");
  const Report read = read_report(out.str(), "merged.json");
  CHECK(live(read, "tensor") == (6 + 60 + 4) * MiB + 1024);
  CHECK(read.omitted_bytes == live(read, "tensor") + live(read, "cuda"));
}

TEST_CASE("merge: thousands of ranks keep one copy of each place") {
  Merger merger;
  std::mt19937 random(3);
  for (int rank = 0; rank < 2000; ++rank) {
    merger.add(rank_report(rank, rank % 8, rank == 1234 ? 300 * MiB : (6 + random() % 2) * MiB), "x");
  }
  const MergedReport merged = merger.finish();
  CHECK(merged.places.size() == 5);
  CHECK(merged.report.sites.size() == 40);
  REQUIRE(merged.outlier);
  CHECK(merged.ranks[merged.outlier->outlier.rank] == "1234");
}
