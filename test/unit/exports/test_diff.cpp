// Which sites of two reports are the same place, and what is said about them.
#include <catch2/catch.hpp>
#include <sstream>

#include "report/diff.hpp"
#include "test/unit/exports/sample_report.hpp"

using namespace vramtrack;
using namespace vramtrack::test;

namespace {

/// One site per line of one function of one file.
Report lines_report(const std::string& function, std::initializer_list<std::pair<int, Bytes>> lines,
                    const std::string& folder = "/src/") {
  Report report;
  for (const auto& [line, bytes] : lines) {
    report.frames.push_back(python_frame(function, folder + "train.py", line));
    const auto id = static_cast<std::uint32_t>(report.sites.size());
    report.sites.push_back(make_site(id, "tensor", bytes, {id}));
  }
  return report;
}

const SiteChange* at_line(const Diff& diff, int line) {
  for (const SiteChange& change : diff.sites) {
    if (change.b != nullptr && diff.b->frames[change.b->stack[0]].line == line) return &change;
  }
  return nullptr;
}

std::size_t count(const Diff& diff, Change kind) {
  std::size_t sites = 0;
  for (const SiteChange& change : diff.sites) sites += change.change == kind;
  return sites;
}

}  // namespace

TEST_CASE("diff: a report against itself has no change") {
  const Report report = sample_report();
  const Diff diff = compare(report, report);
  CHECK(diff.sites.size() == report.sites.size());
  CHECK(count(diff, Change::same) == report.sites.size());
  for (const SiteChange& change : diff.sites) CHECK(change.a->id == change.b->id);
  CHECK(describe_growth(diff, 0).empty());
}

TEST_CASE("diff: classes, order and sums") {
  const Report a = lines_report("f", {{10, 100}, {50, 4000}, {90, 700}, {130, 5}});
  const Report b = lines_report("f", {{10, 350}, {50, 1000}, {130, 5}, {200, 60}});
  const Diff diff = compare(a, b);
  REQUIRE(diff.sites.size() == 5);
  CHECK(diff.sites[0].change == Change::shrank);
  CHECK(diff.sites[0].delta() == -3000);
  CHECK(diff.sites[1].change == Change::went);
  CHECK(diff.sites[1].delta() == -700);
  CHECK(diff.sites[2].change == Change::grew);
  CHECK(diff.sites[3].change == Change::appeared);
  CHECK(diff.sites[4].change == Change::same);
  REQUIRE(diff.totals.size() == 1);
  CHECK(diff.totals[0].a_bytes == 4805);
  CHECK(diff.totals[0].b_bytes == 1415);
}

TEST_CASE("diff: lines inserted above move every site along, in another folder too") {
  const Report a = lines_report("<module>", {{10, 1}, {11, 2}, {12, 3}, {40, 4}});
  const Report b = lines_report("<module>", {{110, 1}, {111, 2}, {112, 3}, {140, 4}}, "/elsewhere/");
  const Diff diff = compare(a, b);
  CHECK(count(diff, Change::same) == 4);
}

TEST_CASE("diff: a new line between the others is the one that appeared") {
  const Report a = lines_report("f", {{10, 1}, {11, 2}, {12, 3}});
  const Report b = lines_report("f", {{10, 1}, {11, 2}, {12, 77}, {13, 3}});
  Report with_text_a = a, with_text_b = b;
  for (auto& [report, texts] : {std::pair<Report*, std::vector<std::string>>{&with_text_a, {"a", "b", "c"}},
                                {&with_text_b, {"a", "b", "new", "c"}}}) {
    for (std::size_t i = 0; i < texts.size(); ++i) report->frames[i].source = texts[i];
  }
  const Diff diff = compare(with_text_a, with_text_b);
  CHECK(count(diff, Change::same) == 3);
  REQUIRE(at_line(diff, 12) != nullptr);
  CHECK(at_line(diff, 12)->change == Change::appeared);
  CHECK(at_line(diff, 13)->a_bytes == 3);  // line 12 before
}

TEST_CASE("diff: far lines of a script are different places, other functions too") {
  const Report a = lines_report("<module>", {{5, 100}});
  const Report b = lines_report("<module>", {{300, 100}});
  CHECK(count(compare(a, b), Change::appeared) == 1);
  CHECK(count(compare(a, b), Change::went) == 1);
  const Report c = lines_report("other", {{5, 100}});
  CHECK(count(compare(a, c), Change::appeared) == 1);
}

TEST_CASE("diff: layer, kind and device keep sites apart") {
  const Report a = lines_report("f", {{5, 100}});
  for (auto change : {+[](SiteReport& s) { s.layer = "cuda"; }, +[](SiteReport& s) { s.kind = "pool"; },
                      +[](SiteReport& s) { s.device = 1; }}) {
    Report b = a;
    change(b.sites[0]);
    CHECK(count(compare(a, b), Change::same) == 0);
  }
}

TEST_CASE("diff: other native frames below the same Python line are the same site") {
  Report a = sample_report(), b = sample_report();
  b.frames[2].function = "at::empty_v2";
  b.frames[3].module = "/lib/libtorch2.so";
  const Diff diff = compare(a, b);
  CHECK(count(diff, Change::same) == a.sites.size());
  CHECK(diff.sites.size() == a.sites.size());
}

TEST_CASE("diff: addresses instead of names do not tell runs apart") {
  Report a = sample_report(), b = sample_report();
  a.frames[7].function = "0x7f1234";
  b.frames[7].function = "0x7f9999";
  CHECK(count(compare(a, b), Change::same) == a.sites.size());
}

TEST_CASE("diff: growth is judged by site and by sum") {
  const Report a = lines_report("f", {{10, 1000}, {50, 1000}});
  const Report moved = lines_report("f", {{10, 0}, {50, 2000}});
  CHECK(describe_growth(compare(a, moved), 1001).empty());
  CHECK(describe_growth(compare(a, moved), 1000).find("train.py") != std::string::npos);
  const Report both = lines_report("f", {{10, 1600}, {50, 1600}});
  CHECK(describe_growth(compare(a, both), 1200).find("tensors on cuda:0 grew by 1.17 KiB") != std::string::npos);
  CHECK(describe_growth(compare(a, both), 1201).empty());
  CHECK(!describe_growth(compare(a, moved), 0).empty());
  CHECK(describe_growth(compare(a, a), 0).empty());
}

TEST_CASE("diff: peak and allocated bytes can be compared instead") {
  Report a = lines_report("f", {{10, 0}}), b = a;
  b.sites[0].peak_bytes = 512;
  b.sites[0].allocated_bytes = 4096;
  CHECK(compare(a, b).sites[0].delta() == 0);
  CHECK(compare(a, b, DiffBy::peak).sites[0].delta() == 512);
  CHECK(compare(a, b, DiffBy::allocated).sites[0].delta() == 4096);
}

TEST_CASE("diff: text and JSON hold the same figures, hostile names included") {
  Report a = sample_report(), b = sample_report();
  b.sites[3].live_bytes = 1 * MiB;  // the site with the hostile name
  const Diff diff = compare(a, b);
  std::ostringstream text, document;
  render::diff_text(diff, text, {});
  render::diff_json(diff, document);
  CHECK(text.str().find("grew") != std::string::npos);
  CHECK(text.str().find('\0') == std::string::npos);
  const Json json = Json::parse(document.str());
  CHECK(json["schema"] == "vramtrack-diff/1");
  CHECK(json["sites"][0]["change"] == "grew");
  CHECK(json["sites"][0]["delta_bytes"] == MiB - 512);
  const auto frame = json["sites"][0]["stack"][0].get<std::size_t>();
  CHECK(json["frames"][frame]["function"] == hostile);
  CHECK(json["summary"]["same"]["sites"] == 4);
}

TEST_CASE("diff: the script may have another name, other files may not") {
  Report a = lines_report("build", {{5, 100}}), b = a;
  b.frames[0].file = "/src/train_v2.py";
  CHECK(count(compare(a, b), Change::same) == 1);
  for (Report* report : {&a, &b}) {
    const auto script = static_cast<FrameId>(report->frames.size());
    report->frames.push_back(python_frame("<module>", "/src/main.py", 1));
    report->sites[0].stack.push_back(script);
  }
  CHECK(count(compare(a, b), Change::same) == 0);
}
