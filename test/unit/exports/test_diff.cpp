// Which sites of two reports are the same place, and what is said about them.
#include <catch2/catch.hpp>
#include <sstream>

#include "report/compare/diff.hpp"
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

struct SourceLine {
  int line;
  std::string text;
  Bytes bytes;
};

/// As lines_report, with the lines' text.
Report source_report(const std::vector<SourceLine>& lines, const std::string& function = "<module>") {
  Report report;
  for (const SourceLine& line : lines) {
    report.frames.push_back(python_frame(function, "/src/train.py", line.line));
    report.frames.back().source = line.text;
    const auto id = static_cast<std::uint32_t>(report.sites.size());
    report.sites.push_back(make_site(id, "tensor", line.bytes, {id}));
  }
  return report;
}

/// The line that was this line of B in A; 0 when B's is new.
int line_before(const Diff& diff, int line) {
  const SiteChange* change = at_line(diff, line);
  REQUIRE(change != nullptr);
  return change->a == nullptr ? 0 : diff.a->frames[change->a->stack[0]].line;
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
    const auto script = FrameId(report->frames.size());
    report->frames.push_back(python_frame("<module>", "/src/main.py", 1));
    report->sites[0].stack.push_back(script);
  }
  CHECK(count(compare(a, b), Change::same) == 0);
}

TEST_CASE("diff: a new line beside one that went is no partner for it") {
  const Report a = source_report({{10, "weights = make()", 4096}, {11, "loss = criterion(y)", 512}});
  const Report b = source_report({{10, "weights = make()", 4096}, {12, "cache.append(torch.empty(size))", 120 * MiB}});
  const Diff diff = compare(a, b);
  CHECK(line_before(diff, 10) == 10);
  CHECK(line_before(diff, 12) == 0);
  CHECK(count(diff, Change::went) == 1);
  // On the very same line too.
  const Report c = source_report({{10, "weights = make()", 4096}, {11, "cache.append(torch.empty(size))", 120 * MiB}});
  CHECK(line_before(compare(a, c), 11) == 0);
}

TEST_CASE("diff: lines inserted above, one edited, one new that looks like its neighbour") {
  const Report a =
      source_report({{10, "x = torch.zeros(64)", 256}, {11, "y = torch.zeros(64)", 256}, {30, "z = f(y)", 8}});
  const Report b = source_report({{15, "x = torch.zeros(64)", 256},
                                  {16, "w = torch.zeros(64)", 120 * MiB},
                                  {17, "y = torch.zeros(1 << 20, device=d)", 4 * MiB},
                                  {36, "z = f(y)", 8}});
  const Diff diff = compare(a, b);
  CHECK(line_before(diff, 15) == 10);
  CHECK(line_before(diff, 16) == 0);
  CHECK(line_before(diff, 17) == 11);
  CHECK(at_line(diff, 17)->change == Change::grew);
  CHECK(line_before(diff, 36) == 30);
}

TEST_CASE("diff: equal lines keep their order, a moved line its text") {
  const Report a = source_report({{10, "x = f(x)", 1}, {11, "y = g(x)", 2}, {12, "x = f(x)", 3}});
  const Report more =
      source_report({{20, "x = f(x)", 1}, {21, "y = g(x)", 2}, {22, "x = f(x)", 3}, {23, "x = f(x)", 4}});
  const Diff diff = compare(a, more);
  CHECK(line_before(diff, 20) == 10);
  CHECK(line_before(diff, 21) == 11);
  CHECK(line_before(diff, 22) == 12);
  CHECK(line_before(diff, 23) == 0);
  const Report moved = source_report({{40, "y = g(x)", 2}, {41, "x = f(x)", 1}});
  CHECK(line_before(compare(a, moved), 40) == 11);
}

TEST_CASE("diff: a function that moved in its file, or changed places with another") {
  Report a = source_report({{10, "x = f()", 1}, {12, "y = g()", 2}}, "early");
  Report b = source_report({{210, "x = f()", 1}, {212, "y = g()", 2}}, "early");
  const auto add = [](Report& report, int line) {
    report.frames.push_back(python_frame("late", "/src/train.py", line));
    report.frames.back().source = "x = f()";
    report.sites.push_back(make_site(2, "tensor", 7, {2}));
  };
  add(a, 200);
  add(b, 8);
  CHECK(count(compare(a, b), Change::same) == 3);
}

TEST_CASE("diff: two sites on one line are told apart by what they called, whatever their size") {
  Report a = source_report({{10, "pair = torch.zeros(n), torch.ones(m)", 100}});
  a.frames.push_back(native_frame("at::zeros", "/lib/libtorch.so"));
  a.frames.push_back(native_frame("at::ones", "/lib/libtorch.so"));
  a.sites = {make_site(0, "tensor", 100, {1, 0}), make_site(1, "tensor", 5000, {2, 0})};
  Report b = a;
  b.sites[0].live_bytes = 5000;
  b.sites[1].live_bytes = 90000;
  const Diff diff = compare(a, b);
  for (const SiteChange& change : diff.sites) CHECK(change.a->id == change.b->id);
}

TEST_CASE("diff: a certain partner in Python frames goes before a guess with equal native frames") {
  Report a = source_report({{10, "a = torch.zeros(n)", 0}, {11, "a = torch.zeros(m)", 0}});
  a.frames.push_back(native_frame("at::zeros", "/lib/libtorch.so"));
  a.frames.push_back(native_frame("at::zeros_new", "/lib/libtorch.so"));
  Report b = a;
  a.sites = {make_site(0, "tensor", 512, {2, 0})};
  b.sites = {make_site(0, "tensor", 512, {3, 0}), make_site(1, "tensor", 120 * MiB, {2, 1})};
  const Diff diff = compare(a, b);
  CHECK(count(diff, Change::same) == 1);
  CHECK(count(diff, Change::appeared) == 1);
}

TEST_CASE("diff: without the text of the lines, a line that exists in both is its own partner only") {
  const Report a = lines_report("f", {{10, 4096}, {11, 512}});
  const Report b = lines_report("f", {{10, 4096}, {11, 0}, {12, 120 * MiB}});
  Report gone = b;
  gone.sites.erase(gone.sites.begin() + 1);  // its frame is still known from another stack
  const Diff diff = compare(a, gone);
  CHECK(line_before(diff, 10) == 10);
  CHECK(line_before(diff, 12) == 0);
}

TEST_CASE("diff: another version of a library, all its lines edited, leaves the program's sites matched") {
  const auto report = [](int line, const std::string& text) {
    Report made = source_report({{10, "y = layer(x)", 100}, {20, "z = layer(y)", 300}});
    made.frames.push_back(python_frame("Linear.forward", "/usr/lib/python3/site-packages/torch/nn/linear.py", line));
    made.frames.back().source = text;
    for (SiteReport& site : made.sites) site.stack.insert(site.stack.begin(), FrameId(2));
    return made;
  };
  const Diff diff =
      compare(report(114, "return F.linear(input, self.weight)"), report(190, "out = torch._C.linear(x, w)"));
  CHECK(count(diff, Change::same) == 2);
}
