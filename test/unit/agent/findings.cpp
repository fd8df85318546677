#include "report/findings/findings.hpp"

#include <catch2/catch.hpp>

#include "report/agent_facts.hpp"
#include "report/findings/run_findings.hpp"

using namespace vramtrack;

namespace {

Json look(int step, Json holders, Json dead = Json::array()) {
  return {{"why", "step"}, {"step", step}, {"live", 1000 << 20}, {"holders", holders}, {"dead", dead}};
}

Json holder(int count, int graphs, int first_step, int last_step, int nodes) {
  return {{"h", "train() local losses[]"},
          {"v", "losses"},
          {"f", "/x/train.py"},
          {"l", 12},
          {"fn", "train()"},
          {"k", 1},
          {"c", count},
          {"b", count * 4096},
          {"g", graphs},
          {"nodes", nodes},
          {"steps", last_step - first_step + 1},
          {"s0", first_step},
          {"s1", last_step},
          {"uses", 1}};
}

Report with_peak(Bytes peak) {
  Report report;
  Total total;
  total.layer = "tensor";
  total.kind = "block";
  total.peak_bytes = peak;
  report.totals.push_back(total);
  return report;
}

std::vector<std::string> codes(const Report& report) {
  std::vector<std::string> result;
  for (const Finding& finding : findings::find_all(report)) result.push_back(finding.code);
  return result;
}

}  // namespace

TEST_CASE("losses whose graphs reach over all steps are history accumulation") {
  Report report = with_peak(1000 << 20);
  report.steps = 20;
  Json looks = Json::array();
  for (const int step : {4, 8, 16}) looks.push_back(look(step, {holder(step, step, 0, step - 1, step * 8)}));
  report.notes["looks[]"] = looks;
  const auto found = findings::find_all(report);
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == "history-accumulation");
  CHECK(found[0].variable == "losses");
  CHECK(found[0].line == 12);
  CHECK(found[0].evidence["steps_spanned"] == 16);
}

TEST_CASE("a window of graphs that slides is not") {
  Report report = with_peak(1000 << 20);
  report.steps = 40;
  report.notes["looks[]"] = Json::array(
      {look(8, {holder(6, 6, 2, 7, 48)}), look(16, {holder(6, 6, 10, 15, 48)}), look(32, {holder(6, 6, 26, 31, 48)})});
  CHECK(codes(report).empty());
}

TEST_CASE("a container that grows without graphs is a growing site, one that reached its size is not") {
  Report report = with_peak(1000 << 20);
  report.steps = 20;
  report.notes["looks[]"] = Json::array(
      {look(4, {holder(4, 0, 0, 0, 0)}), look(8, {holder(8, 0, 0, 0, 0)}), look(16, {holder(16, 0, 0, 0, 0)})});
  CHECK(codes(report) == std::vector<std::string>{"growing-site"});
  report.steps = 200;  // no look after step 16: blocks had stopped to survive
  CHECK(codes(report).empty());
}

TEST_CASE("a dead local counts near the peak only, and from a tenth of what is in use") {
  const auto dead = [](Bytes bytes) {
    return Json::array({{{"v", "x"}, {"b", bytes}, {"c", 1}, {"fn", "run"}, {"f", "/x/a.py"}, {"l", 3}, {"at", 9}}});
  };
  Report report = with_peak(Bytes{1000} << 20);
  report.notes["looks[]"] = Json::array({look(0, Json::array(), dead(Bytes{300} << 20))});
  REQUIRE(codes(report) == std::vector<std::string>{"dead-local"});
  CHECK(findings::find_all(report)[0].fix.find("del x") != std::string::npos);
  report.notes["looks[]"] = Json::array({look(0, Json::array(), dead(Bytes{50} << 20))});
  CHECK(codes(report).empty());
  report = with_peak(Bytes{5000} << 20);
  report.notes["looks[]"] = Json::array({look(0, Json::array(), dead(Bytes{300} << 20))});
  CHECK(codes(report).empty());
}

TEST_CASE("two children that drew from one state, not from two") {
  Report report;
  const auto worker = [](int pid, const char* state, const char* change) {
    return Json{{"pid", pid}, {"change", change}, {"inherited", state}, {"draws", 10}, {"f", "/x/a.py"}, {"l", 4}};
  };
  report.notes["worker_rng[]"] = Json::array({worker(1, "0xa", "drawn"), worker(2, "0xa", "drawn")});
  CHECK(codes(report) == std::vector<std::string>{"duplicate-worker-rng"});
  report.notes["worker_rng[]"] = Json::array({worker(1, "0xa", "drawn"), worker(2, "0xb", "drawn")});
  CHECK(codes(report).empty());
  report.notes["worker_rng[]"] = Json::array({worker(1, "0xa", "drawn"), worker(2, "0xa", "reseeded")});
  CHECK(codes(report).empty());
}

TEST_CASE("notes of the wrong shape give no finding and no error") {
  for (const char* key : {"looks[]", "history_graph", "modules", "cycles", "worker_rng[]", "step_live", "dead_locals"})
    for (const Json& value : {Json(1), Json("text"), Json::array({1, "x", nullptr, Json::array()}), Json::object(),
                              Json{{"holders", 3}, {"modules", Json::array({1})}, {"dead", "x"}}}) {
      Report report = with_peak(100);
      report.notes[key] = value;
      report.at = "oom";
      CHECK(codes(report).empty());
    }
}

TEST_CASE("indices are blanked, names are kept") {
  CHECK(blank_indices("__main__.losses[3]") == "__main__.losses[]");
  CHECK(blank_indices("t() local stats['loss'][12].x") == "t() local stats['loss'][].x");
  CHECK(blank_indices("o.state[<Parameter>]['exp_avg']") == "o.state[]['exp_avg']");
  CHECK(blank_indices("broken[1") == "broken[1");
}

TEST_CASE("a leftover process is told with what it holds") {
  findings::Leftover leftover{42, "python server.py", {"/dev/nvidia0"}};
  const auto found = findings::run_findings({leftover}, {});
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == "leftover-process");
  CHECK(found[0].message.find("python server.py") != std::string::npos);
  leftover.devices.clear();
  CHECK(findings::run_findings({leftover}, {}).empty());
}
