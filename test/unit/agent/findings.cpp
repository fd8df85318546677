#include "report/findings/findings.hpp"

#include <catch2/catch.hpp>

#include "report/analysis/agent_facts.hpp"
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
          {"k", true},
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
  total.allocated_count = 1;
  report.totals.push_back(total);
  return report;
}

FrameId add_frame(Report& report, const char* kind, const char* function, const char* file = "", int line = 0) {
  Frame frame;
  frame.kind = kind;
  frame.function = function;
  frame.file = file;
  frame.line = line;
  report.frames.push_back(frame);
  return FrameId(report.frames.size() - 1);
}

/// A site of train.py:24, with its native frames, innermost first.
SiteReport& add_site(Report& report, const char* layer, const char* owner, Bytes bytes, std::uint64_t blocks,
                     const std::vector<const char*>& native) {
  SiteReport site;
  site.id = SiteId(report.sites.size());
  site.layer = layer;
  site.kind = site.layer == "tensor" ? "block" : "device";
  site.device = 0;
  site.owner = owner;
  site.live_bytes = site.peak_bytes = bytes;
  site.live_count = site.allocated_count = blocks;
  site.allocated_bytes = bytes;
  site.verdict = "cache";
  for (const char* function : native) site.stack.push_back(add_frame(report, "native", function));
  site.stack.push_back(add_frame(report, "python", "main", "/x/train.py", 24));
  report.sites.push_back(site);
  return report.sites.back();
}

/// A training on an H100: PyTorch's workspaces, and what two cuBLAS handles took from CUDA themselves.
Report h100_training() {
  Report report = with_peak(Bytes{95} << 20);
  report.steps.count = 60;
  add_site(report, "tensor", "torch", Bytes{64} << 20, 2, {"at::cuda::setWorkspaceForHandle"});
  add_site(report, "tensor", "torch", Bytes{1} << 20, 1, {"at::cuda::getCUDABlasLtWorkspace"});
  add_site(report, "cuda", "torch", Bytes{84} << 20, 4, {"alloc_block", "at::cuda::setWorkspaceForHandle"});
  add_site(report, "cuda", "cublas", Bytes{128} << 20, 2,
           {"+0x5b45ee", "cublasCreate_v2", "at::cuda::getCurrentCUDABlasHandle", "at::cuda::getCUDABlasLtWorkspace"});
  add_site(report, "cuda", "cublas", 256 << 10, 2, {"+0x5b45ee", "cublasCreate_v2"});
  LedgerEntry entry;
  entry.device = 0;
  entry.owners = {{"cublas", (Bytes{128} << 20) + (256 << 10)}, {"torch", Bytes{84} << 20}};
  report.ledger.push_back(entry);
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
  report.steps.count = 20;
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

TEST_CASE("what is added after the last step is no step of its own") {
  Report report = with_peak(1000 << 20);
  report.steps.count = 60;
  Json looks = Json::array();
  for (const int step : {16, 32}) looks.push_back(look(step, {holder(step, step, 0, step - 1, step * 8)}));
  looks.push_back(look(60, {holder(1, 61, 0, 60, 480)}));  // total_loss += loss stands behind optimizer.step()
  report.notes["looks[]"] = looks;
  const auto found = findings::find_all(report);
  REQUIRE(found.size() == 1);
  CHECK(found[0].evidence["steps_spanned"] == 60);
  CHECK(found[0].message.find("of 60 steps alive") != std::string::npos);
}

TEST_CASE("a window of graphs that slides is not") {
  Report report = with_peak(1000 << 20);
  report.steps.count = 40;
  report.notes["looks[]"] = Json::array(
      {look(8, {holder(6, 6, 2, 7, 48)}), look(16, {holder(6, 6, 10, 15, 48)}), look(32, {holder(6, 6, 26, 31, 48)})});
  CHECK(codes(report).empty());
}

TEST_CASE("losses that each epoch begins anew are told by the epoch that was seen most of") {
  Report report = with_peak(1000 << 20);
  report.steps.count = 120;
  const Json first = look(8, {holder(8, 8, 0, 7, 64)}), second = look(16, {holder(16, 16, 0, 15, 128)});
  const Json third = look(32, {holder(32, 32, 0, 31, 256)});
  report.notes["looks[]"] = Json::array({first, second, third, look(64, {holder(4, 4, 60, 63, 32)})});
  const auto found = findings::find_all(report);
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == "history-accumulation");
  CHECK(found[0].evidence["steps_spanned"] == 32);
  // A window of 32 that slides, and one of 20.
  report.notes["looks[]"] = Json::array({first, second, third, look(64, {holder(32, 32, 32, 63, 256)})});
  CHECK(codes(report).empty());
  report.notes["looks[]"] =
      Json::array({first, second, look(32, {holder(20, 20, 12, 31, 160)}), look(64, {holder(20, 20, 44, 63, 160)})});
  CHECK(codes(report).empty());
}

TEST_CASE("without steps a variable that looks saw under several names is one where one statement adds to it") {
  const auto seen_as = [](const char* chain, const char* variable, const char* function, const char* of_class,
                          int uses) {
    Json entry = holder(1, 1, 0, 0, 6 * uses);
    entry["h"] = chain;
    entry["v"] = variable;
    entry["fn"] = function;
    entry["o"] = of_class;
    entry["uses"] = uses;
    return entry;
  };
  Report report = with_peak(1000 << 20);
  report.notes["looks[]"] = Json::array({look(0, {seen_as("add() local total", "total", "add()", "", 1)}),
                                         look(0, {seen_as("__main__.average closure total", "total", "", "", 14)})});
  CHECK(codes(report).empty());  // two looks tell nothing
  report.notes["history_graph"] = {{"step", 0},
                                   {"holders", {seen_as("__main__.average closure total", "total", "", "", 80)}}};
  auto found = findings::find_all(report);
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == "history-accumulation");
  CHECK(found[0].evidence["parameter_uses"] == 80);

  report.notes["looks[]"] =
      Json::array({look(0, {seen_as("epoch() local self.sum", "self.sum", "epoch()", "Fit", 3)}),
                   look(0, {seen_as("epoch() local self.sum", "self.sum", "epoch()", "Fit", 24)})});
  report.notes["history_graph"] = {{"step", 0}, {"holders", {seen_as("__main__.fit.sum", "fit.sum", "", "Fit", 120)}}};
  found = findings::find_all(report);
  REQUIRE(found.size() == 1);
  CHECK(found[0].variable == "fit.sum");
  report.notes["history_graph"]["holders"][0]["o"] = "Other";  // an attribute of another class
  CHECK(codes(report).empty());
}

TEST_CASE("a few numbers that stay on the device are no growing site") {
  Report report = with_peak(1000 << 20);
  report.steps.count = 20;
  const auto numbers = [](int count) {
    Json entry = holder(count, 0, 0, 0, 0);
    entry["b"] = 4 * count;
    return entry;
  };
  report.notes["looks[]"] = Json::array({look(4, {numbers(4)}), look(8, {numbers(8)}), look(16, {numbers(16)})});
  CHECK(codes(report).empty());
  report.notes["looks[]"] = Json::array({look(4, {numbers(40)}), look(8, {numbers(80)}), look(16, {numbers(160)})});
  CHECK(codes(report) == std::vector<std::string>{"growing-site"});  // a block of 512 bytes for each
  report.notes["looks[]"] = Json::array(
      {look(4, {holder(4, 0, 0, 0, 0)}), look(8, {holder(8, 0, 0, 0, 0)}), look(16, {holder(16, 0, 0, 0, 0)})});
  CHECK(codes(report) == std::vector<std::string>{"growing-site"});  // tensors, however small
}

TEST_CASE("running out of memory is an error, and a warning where the program handled it") {
  Report report = with_peak(1000 << 20);
  report.at = "exit";
  report.ooms.emplace_back();
  report.ooms[0].n = 1;
  report.process.end.kind = "exit";
  report.process.end.code = 1;
  CHECK(findings::find_all(report).at(0).severity == "error");
  report.process.end.code = 0;
  CHECK(findings::find_all(report).at(0).severity == "warning");
  CHECK(findings::find_all(report).at(0).evidence["handled"] == true);
  report.process.end = {"signal", 9};
  CHECK(findings::find_all(report).at(0).severity == "error");
}

TEST_CASE("a cache in pieces is told where it and what is free would have sufficed in one") {
  Report report = with_peak(8000ull << 20);
  report.at = "oom";
  OomReport oom;
  oom.n = 1;
  oom.layer = "tensor";
  oom.requested_bytes = 2000ull << 20;
  oom.live_bytes = 4800ull << 20;
  oom.reserved_bytes = 6300ull << 20;
  report.ooms = {oom};
  LedgerEntry device;
  device.total_bytes = 8192ull << 20;
  const auto advises = [&](Bytes free, bool expandable) {
    device.driver_used_bytes = device.total_bytes - free;
    report.ledger = {device};
    Fragmentation pieces;
    pieces.segments.emplace_back().expandable = expandable;
    report.fragmentation = {pieces};
    return findings::find_all(report).at(0).fix.find("expandable_segments:True") != std::string::npos;
  };
  CHECK(advises(1500ull << 20, false));
  CHECK_FALSE(advises(1500ull << 20, true));  // they are in use
  CHECK_FALSE(advises(500ull << 20, false));  // the cache of 1,500 MiB is exactly what is missing
  CHECK_FALSE(advises(100ull << 20, false));
  report.ooms[0].requested_bytes = 1000ull << 20;
  CHECK(advises(0, false));
}

TEST_CASE("a step that works on more than those before ran out of memory for that") {
  Report report = h100_training();
  report.at = "oom";
  report.steps.count = 50;
  OomReport oom;
  oom.n = 1;
  oom.layer = "tensor";
  oom.requested_bytes = 100 << 20;
  oom.live_bytes = 900 << 20;
  report.ooms = {oom};
  report.holders.moment = "out_of_memory";
  SiteReport& input = add_site(report, "tensor", "torch", 4 << 20, 1, {"at::empty"});
  input.allocated_count = 51;
  input.allocated_bytes = (4 << 20) + 50 * (1 << 20);
  input.last_time = 9.5;
  SiteReport& later = add_site(report, "tensor", "torch", 80 << 20, 1, {"at::empty", "at::mm"});
  later.allocated_count = 51;
  later.allocated_bytes = (80 << 20) + 50 * (1 << 20);
  later.last_time = 9.6;
  const auto told = [&](Bytes before) {
    TimelineEntry point;
    point.layer = "tensor";
    point.time = 9;
    point.step = 49;
    point.live_bytes = before;
    report.timeline = {point};
    return findings::find_all(report).at(0);
  };
  const Finding longer = told(300 << 20);
  REQUIRE(longer.code == "out-of-memory");
  CHECK(longer.evidence["steps_before_bytes"] == 300 << 20);
  CHECK(longer.evidence["input_bytes"] == 4 << 20);
  CHECK(longer.evidence["usual_input_bytes"] == 1 << 20);
  CHECK_FALSE(told(800 << 20).evidence.contains("steps_before_bytes"));  // it piled up
}

TEST_CASE("a container that grows without graphs is a growing site, one that reached its size is not") {
  Report report = with_peak(1000 << 20);
  report.steps.count = 20;
  report.notes["looks[]"] = Json::array(
      {look(4, {holder(4, 0, 0, 0, 0)}), look(8, {holder(8, 0, 0, 0, 0)}), look(16, {holder(16, 0, 0, 0, 0)})});
  CHECK(codes(report) == std::vector<std::string>{"growing-site"});
  report.steps.count = 200;  // no look after step 16: blocks had stopped to survive
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

TEST_CASE("a checkpoint that nothing reads again was loaded onto the device that it was saved from") {
  Report report = h100_training();
  report.totals[0].peak_bytes = Bytes{1000} << 20;
  SiteReport& site = add_site(report, "tensor", "torch", Bytes{300} << 20, 8, {"at::empty"});
  report.notes["looks[]"] = Json::array({look(
      0, Json::array(),
      {{{"v", "state"}, {"b", Bytes{300} << 20}, {"c", 8}, {"fn", "run"}, {"f", "train.py"}, {"l", 24}, {"at", 30}}})});
  Frame& own = report.frames[site.stack.back()];
  REQUIRE(own.line == 24);
  for (FrameId id : site.stack)
    if (report.frames[id].kind == "python") report.notes["looks[]"][0]["dead"][0]["f"] = report.frames[id].file;
  const auto loaded = [&] {
    for (const Finding& finding : findings::find_all(report))
      if (finding.code == "dead-local") return finding;
    return Finding();
  };
  CHECK(loaded().code == "dead-local");
  CHECK(loaded().fix.find("map_location") == std::string::npos);
  site.stack.insert(site.stack.end() - 1, add_frame(report, "python", "load",
                                                    "/venv/lib/python3.11/site-packages/torch/serialization.py", 1500));
  CHECK(loaded().fix.find("map_location") != std::string::npos);
  CHECK(loaded().message.find("It lies on") == std::string::npos);
  site.device = 3;
  CHECK(loaded().message.find("It lies on cuda:3") != std::string::npos);
}

TEST_CASE("a local that stays dead until its function ends was so at the peak of a later step, too") {
  const auto seen = [](const char* why, bool stays) {
    Report report = with_peak(Bytes{2000} << 20);
    Json one = look(4, Json::array(),
                    Json::array({{{"v", "x"}, {"b", Bytes{300} << 20}, {"f", "/x/a.py"}, {"l", 3}, {"stays", stays}}}));
    one["why"] = why;
    report.notes["looks[]"] = Json::array({one});
    return codes(report);
  };
  CHECK(seen("step", true) == std::vector<std::string>{"dead-local"});
  CHECK(seen("step", false).empty());
  CHECK(seen("height", true).empty());  // its function may have ended before the peak
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

TEST_CASE("what the math libraries keep is one remark, which says how much is whose") {
  const auto found = findings::find_all(h100_training());
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == "workspace");
  CHECK(found[0].bytes == (Bytes{193} << 20) + (256 << 10));
  CHECK(found[0].evidence["framework_bytes"] == Bytes{65} << 20);
  CHECK(found[0].evidence["library_bytes"]["cublas"] == (Bytes{128} << 20) + (256 << 10));
  CHECK(found[0].line == 24);
}

TEST_CASE("a workspace for each of many streams is the program's doing") {
  Report report = h100_training();
  for (SiteReport& site : report.sites)
    if (site.layer == "tensor") site.live_count = 32;
  const auto found = findings::find_all(report);
  REQUIRE(codes(report) == std::vector<std::string>{"workspace"});
  CHECK(found[0].title.find("each of 32 streams") != std::string::npos);
  CHECK(found[0].fix.find("fewer streams") != std::string::npos);
}

TEST_CASE("handles that a program makes in every step are no workspace but a leak") {
  Report report = h100_training();
  for (SiteReport& site : report.sites)
    if (site.owner == "cublas") {
      site.verdict = "growing";
      site.growth.bytes_per_step = 64 << 20;
    }
  const auto found = findings::find_all(report);
  CHECK(codes(report) == std::vector<std::string>{"growing-site", "growing-site", "workspace"});
  CHECK(found.back().bytes == Bytes{65} << 20);
}

TEST_CASE("another library's memory is told as before") {
  Report report = h100_training();
  report.ledger[0].owners.push_back({"nccl", Bytes{200} << 20});
  add_site(report, "cuda", "nccl", Bytes{200} << 20, 4, {"ncclCommInitRank"});
  CHECK(codes(report) == std::vector<std::string>{"library-memory", "workspace"});
  CHECK(findings::find_all(report)[0].fix.find("destroy_process_group") != std::string::npos);
}

TEST_CASE("blocks of a growing site that views keep") {
  Report report = h100_training();
  SiteReport& site = add_site(report, "tensor", "torch", Bytes{64} << 20, 1, {"at::empty"});
  site.verdict = "growing";
  site.growth.bytes_per_step = 1 << 20;
  HolderReport row;
  row.sites = {site.id};
  row.retained_bytes = Bytes{64} << 20;
  for (const bool whole : {true, false}) {
    row.shown_bytes = whole ? row.retained_bytes : row.retained_bytes / 8;
    row.own_bytes = row.retained_bytes;
    report.holders.rows = {row};
    const auto found = findings::find_all(report);
    REQUIRE(found[0].code == "growing-site");
    CHECK((found[0].fix.find("`.clone()`") != std::string::npos) == !whole);
    CHECK((found[0].message.find("they show 8.00 MiB") != std::string::npos) == !whole);
  }
  report.holders.rows[0].own_bytes = report.holders.rows[0].shown_bytes;  // the rest is what it leads to
  CHECK(findings::find_all(report)[0].message.find("views") == std::string::npos);
}

TEST_CASE("what C++ alone holds is told with the extension's function that made it") {
  Report report = h100_training();
  SiteReport& site =
      add_site(report, "tensor", "torch", Bytes{64} << 20, 32, {"at::empty", "at::Tensor::mul", "smooth"});
  report.frames[site.stack[0]].module = "/venv/lib/python3.11/site-packages/torch/lib/libtorch_cuda.so";
  report.frames[site.stack[1]].module = report.frames[site.stack[2]].module = "/home/me/build/smoother.so";
  HolderMoment moment;
  moment.moment = "exit";
  HolderReport row;
  row.kind = "cxx";
  row.path = "held by no Python name, from main (train.py:24)";
  row.sites = {site.id};
  row.verdict = "growing";
  row.evidence = "32 blocks alive";
  row.blocks = row.elements = 32;
  row.retained_bytes = row.own_bytes = Bytes{64} << 20;
  moment.rows = {row};
  for (const bool extension : {true, false}) {
    if (!extension) report.frames[site.stack[2]].module = "/venv/lib/python3.11/site-packages/torch/lib/libtorch.so";
    report.moments = {moment};
    report.holders = moment;
    const auto found = findings::find_all(report);
    REQUIRE(found[0].code == "growing-site");
    CHECK(found[0].line == 24);
    CHECK_FALSE(found[0].variable);
    CHECK(found[0].message.find("No Python object refers to them") != std::string::npos);
    CHECK((found[0].message.find("smooth (smoother.so)") != std::string::npos) == extension);
    CHECK((found[0].fix.find("smooth (smoother.so)") != std::string::npos) == extension);
    CHECK(found[0].fix.find("`.item()`") == std::string::npos);
  }
}

TEST_CASE("what a user's object has is not told by the private ways of a library to it") {
  Report report = with_peak(100 << 20);
  report.steps.count = 100;
  report.notes["looks[]"] = Json::array();
  for (const int step : {10, 20, 40, 80}) {
    Json one = holder(step, 0, 0, 0, 0);
    one["v"] = "trainer._connector._selector.model.outputs";
    one["o"] = "Net";
    one["b"] = step << 20;
    report.notes["looks[]"].push_back(look(step, {one}));
  }
  const auto found = findings::find_all(report);
  REQUIRE(!found.empty());
  CHECK(found[0].variable == "Net.outputs");
}

TEST_CASE("JAX is the program's framework, unless PyTorch is") {
  for (const bool beside_torch : {true, false}) {
    Report report = h100_training();
    if (!beside_torch) std::erase_if(report.sites, [](const SiteReport& site) { return site.layer == "tensor"; });
    report.ledger[0].owners.push_back({"jax", Bytes{60} << 30});
    const auto found = findings::find_all(report);
    const auto told = std::ranges::find(found, std::string("library-memory"), &Finding::code);
    REQUIRE((told != found.end()) == beside_torch);
    if (beside_torch) CHECK(told->fix.find("XLA_PYTHON_CLIENT_PREALLOCATE") != std::string::npos);
  }
}

TEST_CASE("a long sequence in one call of cuDNN is told by its graph node") {
  const auto with = [](int steps, Bytes kept) {
    Report report = with_peak(Bytes{100} << 20);
    report.steps.count = 3;
    Json entry = holder(1, 1, 0, 0, 4);
    entry["seq"] = steps;
    entry["seqb"] = kept;
    report.notes["looks[]"] = Json::array({look(0, {entry})});
    add_site(report, "tensor", "torch", Bytes{12} << 20, 1, {"at::native::_cudnn_rnn_flatten_weight"}).verdict =
        "steady";
    add_site(report, "tensor", "torch", Bytes{50} << 20, 3, {"at::native::_cudnn_rnn", "at::_ops::_cudnn_rnn::call"})
        .verdict = "recent";
    return report;
  };
  const Report long_one = with(400, Bytes{70} << 20);
  const auto found = findings::find_all(long_one);
  REQUIRE(codes(long_one) == std::vector<std::string>{"long-bptt"});
  CHECK(found[0].site == 1);
  CHECK(found[0].line == 24);
  CHECK(found[0].evidence["repetitions"] == 400);
  CHECK(codes(with(80, Bytes{70} << 20)).empty());   // truncated
  CHECK(codes(with(400, Bytes{20} << 20)).empty());  // long, but something else fills the device

  // As on an H100: the work space of the backward pass makes the peak, and the graph is seen when backward freed it.
  Report at_work = with(400, 0);
  at_work.sites.back().at_peak_bytes = Bytes{20} << 20;
  add_site(at_work, "tensor", "torch", Bytes{60} << 20, 3, {"at::native::_cudnn_rnn_backward_weight"}).at_peak_bytes =
      Bytes{60} << 20;
  const auto told = findings::find_all(at_work);
  REQUIRE(codes(at_work) == std::vector<std::string>{"long-bptt"});
  CHECK(told[0].site == 1);
  CHECK(told[0].bytes == Bytes{80} << 20);
  CHECK(told[0].evidence["saved_bytes"] == Bytes{20} << 20);
  CHECK(told[0].evidence["work_space_bytes"] == Bytes{60} << 20);
}

namespace {

/// A site that grew by the clock of time, whose blocks hang on `holder`.
Report grown_in_time(const char* holder, Bytes bytes) {
  Report report = with_peak(bytes);
  SiteReport& site = add_site(report, "tensor", "torch", bytes, 200, {"at::native::addmm"});
  site.verdict = "growing";
  for (std::uint64_t i = 0; i < 200; ++i) {
    AllocationReport allocation;
    allocation.bytes = bytes / 200;
    allocation.layer = "tensor";
    allocation.site = site.id;
    allocation.tensor.emplace();
    std::string text = holder;
    if (const std::size_t at = text.find('#'); at != std::string::npos) text.replace(at, 1, std::to_string(i));
    allocation.tensor->holder = text;
    report.allocations.push_back(allocation);
  }
  return report;
}

}  // namespace

TEST_CASE("without steps a growing site is a finding only where one container holds it") {
  const auto found = findings::find_all(grown_in_time("evaluate() local outputs[#]", Bytes{64} << 20));
  REQUIRE(found.size() == 1);
  CHECK(found[0].code == "growing-site");
  CHECK(found[0].variable == "outputs");
  CHECK(codes(grown_in_time("__main__.features['layer#']", Bytes{64} << 20)).empty());  // named, not counted
  CHECK(codes(grown_in_time("autograd graph", Bytes{64} << 20)).empty());
  CHECK(codes(grown_in_time("evaluate() local outputs[#]", 64 << 10)).empty());  // not worth a word
}

TEST_CASE("a list of parameters in which one look finds two more is not growing after every step") {
  Report report = with_peak(1000 << 20);
  report.steps.count = 3;
  report.notes["looks[]"] = Json::array(
      {look(0, {holder(23, 0, 0, 0, 0)}), look(1, {holder(23, 0, 0, 0, 0)}), look(2, {holder(25, 0, 0, 0, 0)})});
  CHECK(codes(report).empty());
  report.notes["looks[]"] = Json::array(
      {look(0, {holder(23, 0, 0, 0, 0)}), look(1, {holder(24, 0, 0, 0, 0)}), look(2, {holder(25, 0, 0, 0, 0)})});
  CHECK(codes(report) == std::vector<std::string>{"growing-site"});
}

TEST_CASE("a tensor that is made anew, longer, in every step is a growing site, one of limited size is not") {
  const auto with = [](bool adds, bool limited, std::vector<int> mebibytes) {
    Report report = with_peak(Bytes{100} << 20);
    report.steps.count = 40;
    Json looks = Json::array();
    int step = 5;
    for (const int size : mebibytes) {
      Json entry = holder(1, 0, 0, 0, 0);
      entry["b"] = size << 20;
      entry["k"] = adds;
      if (limited) entry["lim"] = true;
      looks.push_back(look(step, {entry}));
      step *= 2;
    }
    report.notes["looks[]"] = looks;
    return report;
  };
  CHECK(codes(with(true, false, {5, 10, 20, 40})) == std::vector<std::string>{"growing-site"});
  CHECK(codes(with(true, true, {5, 10, 20, 40})).empty());    // `[-limit:]`
  CHECK(codes(with(false, false, {5, 10, 20, 40})).empty());  // a longer batch in every step
  CHECK(codes(with(true, false, {5, 20, 20, 20})).empty());   // reached its size
}

TEST_CASE("a buffer with a bound is not growing before it is full") {
  Report report = grown_in_time("train() local losses[#]", Bytes{64} << 20);
  Json entry = holder(200, 0, 0, 0, 0);
  report.notes["history_graph"] = {{"step", 0}, {"holders", Json::array({entry})}};
  findings::settle_bounded_sites(report);
  CHECK(report.sites[0].verdict == "growing");
  entry["lim"] = true;
  report.notes["history_graph"] = {{"step", 0}, {"holders", Json::array({entry})}};
  findings::settle_bounded_sites(report);
  CHECK(report.sites[0].verdict == "steady");
  CHECK(codes(report).empty());
}
