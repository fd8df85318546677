// The page's data block against the report that it was made from, and the shell that it stands in.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>

#include "report/render/page_data.hpp"
#include "report/render/render.hpp"

using namespace vramtrack;
using nlohmann::json;

namespace {

std::vector<FrameId> ids(const std::vector<int>& numbers) { return {numbers.begin(), numbers.end()}; }

Report sample() {
  Report report;
  report.process.command = {"python", "train.py"};
  report.process.duration = 10;
  report.frames = {{"python", "main", "/home/a/train.py", 3, "", false, "f()"},
                   {"python", "f", "/home/a/train.py", 9, "", false, std::nullopt},
                   {"native", "at::empty", "", 0, "libtorch.so", false, std::nullopt}};
  SiteReport first;
  first.id = SiteId(70);
  first.layer = "tensor";
  first.kind = "block";
  first.owner = "torch";
  first.verdict = "growing";
  first.live_bytes = 3072;
  first.live_count = 2;
  first.stack = ids({2, 1, 0});
  SiteReport second = first;
  second.id = SiteId(80);
  second.live_bytes = 512;
  second.stack = ids({2, 0});
  second.backward_of = ids({1, 0});
  report.sites = {first, second};
  AllocationReport block;
  block.address = 0x7f0000000400;
  block.bytes = 2048;
  block.layer = "tensor";
  block.kind = "block";
  block.site = SiteId(70);
  block.time = 1.5;
  block.tensor = TensorFacts{{2, 3}, "float32", "w", "parameter", "model.w", {}};
  AllocationReport far = block;
  far.address = 0xffff800000000000;
  far.site = SiteId(999);  // of no site
  far.tensor.reset();
  AllocationReport low = block;
  low.address = 0x7f0000000000;
  low.bytes = 1024;
  report.allocations = {block, far, low};
  return report;
}

json data_of(const Report& report) { return json::parse(render::page_data(report, "flame")); }

}  // namespace

TEST_CASE("stacks share one tree, parents first") {
  const json data = data_of(sample());
  const json& tree = data["tree"];
  REQUIRE(tree["length"] ==
          5);  // root, main, f, at::empty below f, at::empty below main; the forward stack is f's node
  CHECK(tree["up"] == json::array({0, 1, 1, 1, 3}));
  CHECK(tree["frame"] == json::array({0, 0, 1, 2, 2}));
  CHECK(data["sites"]["stack"] == json::array({3, 4}));
  CHECK(data["sites"]["backward_of"] == json::array({-1, 2}));
  CHECK(data["sites"]["live_bytes"] == json::array({3072, 512}));
}

TEST_CASE("blocks are in address order") {
  const json data = data_of(sample());
  const json& blocks = data["blocks"];
  CHECK(blocks["length"] == 3);
  CHECK(blocks["address_step"][0] == 0x7f0000000000);
  CHECK(blocks["address_step"][1] == 0x400);
  CHECK(blocks["address_far"] == json{{"2", "0xffff800000000000"}});
  CHECK(blocks["bytes"] == json::array({1024, 2048, 2048}));
  CHECK(blocks["site"] == json::array({70, 70, 999}));
  CHECK(data["strings"][blocks["shape"][1].get<std::size_t>()] == "2 × 3");
  CHECK(blocks["shape"][2] == -1);
}

TEST_CASE("every field of a site, a block, a holder has its column, also where there is none of them") {
  const json none = data_of(Report{});
  for (const char* key : {"id", "layer", "verdict", "live_bytes", "bytes_per_step", "stack", "line", "main"})
    CHECK(none["sites"][key] == json::array());
  for (const char* key : {"bytes", "site", "shape", "holder_id"}) CHECK(none["blocks"][key] == json::array());
  CHECK_FALSE(none["blocks"].contains("mapped_at"));
}

TEST_CASE("a stack with an index beyond the frames loses that frame only") {
  Report report = sample();
  report.sites[0].stack = ids({2, 77, 0});
  CHECK(data_of(report)["tree"]["length"] == 4);
}

TEST_CASE("an empty report gives a page") {
  std::ostringstream out;
  render::html(Report{}, out);
  CHECK(out.str().starts_with("<!DOCTYPE html>"));
}

TEST_CASE("hostile names stay inside the data block, bad UTF-8 does not break it") {
  Report report = sample();
  report.frames[0].function = "</script><script>alert(1)</script>";
  report.frames[1].function = "bad \xff\xc3( utf-8 \xed\xa0\x80";
  report.process.command = {"</script>", std::string("nul\0nul", 7)};
  std::ostringstream out;
  render::html(report, out);
  const std::string page = out.str();
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const std::size_t begin = page.find(open) + open.size();
  const std::size_t end = page.find("</script>", begin);
  const json data = json::parse(page.substr(begin, end - begin));  // throws on invalid UTF-8
  CHECK(data["process"]["command"][0] == "</script>");
  CHECK(page.find("<script>alert") == std::string::npos);
}

TEST_CASE("the shell asks for nothing from outside and fits its budget") {
  const render::PageShell shell = render::page_shell();
  const std::string page = std::string(shell.before) + std::string(shell.after);
  CHECK(page.size() <= 184 * 1024);
  CHECK(page.find("@VRAMTRACK_DATA@") == std::string::npos);
  CHECK(page.find("default-src 'none'") != std::string::npos);
  CHECK(page.find(" style=\"") == std::string::npos);
  for (const char* outside : {"src=\"http", "href=\"http", "url(http", "@import"}) {
    CHECK(page.find(outside) == std::string::npos);
  }
}

TEST_CASE("holders go out with their moment, and blocks point to them") {
  Report report = sample();
  HolderReport top;
  top.path = "__main__.model";
  top.kind = "module";
  top.verdict = "steady";
  top.retained_bytes = 4096;
  top.blocks = 3;
  top.sites = {SiteId(80), SiteId(999)};
  top.roles = {{"parameter", 4096}};
  HolderReport part = top;
  part.id = HolderId(1);
  part.parent = HolderId(0);
  part.path = "__main__.model.weight";
  part.sites = {};
  part.also_held_by = {HolderId(0)};
  report.holders = {"exit", 0, 7, 2.5, 4096, {top, part}};
  report.allocations[0].tensor->holder_id = HolderId(1);
  const json data = data_of(report);
  REQUIRE(data["holders"].size() == 1);  // of a report's JSON: the one moment
  const json& moment = data["holders"][0];
  CHECK(moment["moment"] == "exit");
  CHECK(moment["main"] == true);
  CHECK(moment["held"] == 4096);
  const json& rows = moment["rows"];
  CHECK(rows["length"] == 2);
  CHECK(rows["parent"] == json::array({-1, 0}));
  CHECK(rows["sites"] == json{{"0", {80, 999}}});
  CHECK(rows["also_held_by"] == json{{"1", {0}}});
  CHECK(rows["roles"]["0"] == json{{"parameter", 4096}});
  CHECK(data["blocks"]["holder_id"] == json::array({-1, 1, -1}));
  HolderMoment oom = report.holders;
  oom.moment = "out_of_memory";
  oom.oom = 2;
  report.moments = {oom, report.holders};
  const json both = data_of(report)["holders"];
  REQUIRE(both.size() == 2);
  CHECK(both[0]["oom"] == 2);
  CHECK(both[0]["main"] == false);
  CHECK(both[1]["main"] == true);
}
