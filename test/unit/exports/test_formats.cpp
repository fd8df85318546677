// Whole documents of the sample report. That the real consumers read them is tested end to end (test_exports.py).
#include <catch2/catch.hpp>
#include <sstream>

#include "report/analysis/call_paths.hpp"
#include "report/render/render.hpp"
#include "report/support/utf8.hpp"
#include "test/unit/exports/sample_report.hpp"

using namespace vramtrack;
using namespace vramtrack::render;
using namespace vramtrack::test;

namespace {

std::string rendered(void (*render)(const Report&, std::ostream&), const Report& report) {
  std::ostringstream out;
  render(report, out);
  return out.str();
}

}  // namespace

TEST_CASE("call paths: outermost first, a backward allocation below its forward line") {
  const Report report = sample_report();
  const CallPaths paths(report);
  CHECK(paths.path(report.sites[1]) == std::vector{FrameId(0), FrameId(1), FrameId(2), FrameId(3)});
  const std::vector<FrameId> backward = paths.path(report.sites[2]);
  REQUIRE(backward.size() == 5);
  CHECK(backward[0] == 0);
  CHECK(backward[1] == 1);
  CHECK(frame_name(paths[backward[2]]) == "(backward pass)");
  CHECK(backward[4] == 2);
  SiteReport nowhere;
  CHECK(frame_name(paths[paths.path(nowhere).at(0)]) == "(stack unknown)");
}

TEST_CASE("speedscope: one profile per layer, device and measure; weights add up; hostile names come back") {
  const Report report = sample_report();
  const Json document = Json::parse(rendered(speedscope, report));
  Bytes tensor = 0, cuda = 0;
  for (const Json& profile : document["profiles"]) {
    Bytes sum = 0;
    for (const Json& weight : profile["weights"]) sum += weight.get<Bytes>();
    CHECK(profile["endValue"] == sum);
    CHECK(profile["unit"] == "bytes");
    CHECK(profile["samples"].size() == profile["weights"].size());
    if (profile["name"] == "tensors on cuda:0, live") tensor = sum;
    if (profile["name"] == "CUDA memory on cuda:0, live") cuda = sum;
  }
  CHECK(tensor == 8 * MiB + 512);
  CHECK(cuda == 23 * MiB);
  CHECK(document["shared"]["frames"][6]["name"] == utf8::printable(hostile));
}

TEST_CASE("speedscope: invalid UTF-8 does not break the document") {
  Report report = sample_report();
  report.frames[1].function = "\xff\xfe broken";
  CHECK_NOTHROW(Json::parse(rendered(speedscope, report)));
}

TEST_CASE("all formats take an empty report") {
  const Report empty;
  for (auto* render : {speedscope, pprof, perfetto, torch_snapshot}) CHECK(!rendered(render, empty).empty());
}

TEST_CASE("all formats give the same bytes for the same report") {
  for (auto* render : {speedscope, pprof, perfetto, torch_snapshot}) {
    CHECK(rendered(render, sample_report()) == rendered(render, sample_report()));
  }
}
