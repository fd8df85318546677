// The report on a terminal: what it says, and that it stays readable at every width.
#include <catch2/catch.hpp>
#include <sstream>
#include <tuple>

#include "report/render/terminal_text.hpp"
#include "report/support/utf8.hpp"
#include "test/unit/report/sample_report.hpp"

using namespace vramtrack;
using test::mib, test::python, test::sample, test::site, test::text_of;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The rows of the table, without its heading.
std::vector<std::string> rows_of(const Report& report, const render::TextOptions& options) {
  std::vector<std::string> lines = lines_of(text_of(report, options));
  std::vector<std::string> rows;
  bool inside = false;
  for (const std::string& line : lines) {
    if (line.empty()) inside = false;
    if (inside) rows.push_back(line);
    if (line.find("blocks  verdict") != std::string::npos) inside = true;
  }
  return rows;
}

/// More than one of everything: owners, modules, files, roles, verdicts.
Report large_sample() {
  Report report = sample();
  Frame nccl;
  nccl.kind = "native";
  nccl.function = "ncclCommInitRank";
  nccl.module = "/usr/lib/libnccl.so.2";
  report.frames.push_back(nccl);
  SiteReport library = site(4, 96 * mib, 3, "one-off", {3});
  library.layer = "cuda";
  library.kind = "device";
  library.owner = "nccl";
  report.sites.insert(report.sites.begin() + 1, library);
  report.frames[0].module = "torch.nn.modules.linear";
  report.frames[1].module = "model";
  report.frames[2].module = "train";
  return report;
}

}  // namespace

TEST_CASE("the text report, word for word") {
  render::TextOptions options;
  options.width = 110;
  options.report_path = "vramtrack-out/vramtrack-4242.json";
  CHECK(text_of(sample(), options) ==
        R"(vramtrack  python train.py   pid 4242   2 min 31 s   exit 0
  cuda:0 NVIDIA H100 80GB HBM3    live 613 MiB in 214 blocks    peak 10.3 GiB at step 118    reserved 11.2 GiB
    PyTorch's cache 10.6 GiB (largest free piece 2.00 GiB), nccl 96.0 MiB

1 problem
  history-accumulation  train.py:27   total_loss += loss
    `total_loss` (a global of train.py) keeps the autograd graph of every step alive: 118 steps, 512 B and 3
    graph nodes a step.
    Fix: total_loss += loss.item()
    vramtrack explain history-accumulation

Alive at exit, by call site
     bytes  blocks  verdict  call site
 612.0 MiB      48  steady   model.py:31  Block.__init__  parameters  (model.blocks.*.mlp.weight)
   1.0 MiB     118  growing  train.py:27  total_loss += loss  +512 B/step

full report  vramtrack-out/vramtrack-4242.json
page         vramtrack report --format html vramtrack-out/vramtrack-4242.json -o page.html
)");
}

TEST_CASE("what the driver counts is shown as a sum") {
  Report report = sample();
  report.ledger[0].driver_used_bytes = 12044 * mib;
  report.ledger[0].context_and_other_bytes = 480 * mib;
  render::TextOptions options;
  options.width = 200;
  CHECK(text_of(report, options)
            .find("    11.8 GiB of 80.0 GiB in use = live tensors 613 MiB + PyTorch's cache 10.6 GiB "
                  "(largest free piece 2.00 GiB) + nccl 96.0 MiB + CUDA context and others 480 MiB"
                  "\n") != std::string::npos);
}

TEST_CASE("the peak of several kinds of memory is that of their sum") {
  Report report = sample();
  report.totals.clear();
  for (const char* kind : {"device", "vmm"}) {
    Total& total = report.totals.emplace_back();
    total.layer = "cuda";
    total.kind = kind;
    total.live_bytes = 10 * mib;
    total.allocated_count = 1;
    total.peak_bytes = 15 * mib;
    total.peak_at_step = 3;
  }
  report.timeline = {{1.0, 7, "cuda", 0, 22 * mib, {}}, {2.0, 9, "cuda", 0, 20 * mib, {}}};
  CHECK(text_of(report).find("    peak 22.0 MiB at step 7") != std::string::npos);
}

TEST_CASE("the command is shown as it was typed") {
  Report report = sample();
  report.process.command = {"/opt/python/bin/python3", "/home/me/project/src/train.py", "--data", "/home/me/data"};
  CHECK(lines_of(text_of(report))[0].rfind("vramtrack  python3 src/train.py --data /home/me/data   pid", 0) == 0);
}

TEST_CASE("memory of different devices, and of the host, is never one row") {
  Report report = sample();
  report.sites.clear();
  const std::tuple<std::uint32_t, int, const char*> kinds[] = {
      {1, 0, "device"}, {2, 1, "device"}, {3, -1, "host_pinned"}};
  for (const auto& [id, device, kind] : kinds) {
    SiteReport& one = report.sites.emplace_back(site(id, id * mib, 1, "steady", {1}));
    one.layer = "cuda";
    one.kind = kind;
    one.owner = "nccl";
    one.device = device;
  }
  report.ledger[0].managed_bytes = 900 * mib;
  for (const char* group : {"site", "owner", "file", "module"}) {
    render::TextOptions options;
    options.width = 160;
    options.group_by = group;
    const std::vector<std::string> rows = rows_of(report, options);
    INFO(group);
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].find(group == std::string("site") ? "nccl, host_pinned" : "host memory") != std::string::npos);
    CHECK(rows[1].find("   2.0 MiB") == 0);
    CHECK(rows[1].find("cuda:1") != std::string::npos);
    CHECK(rows[2].find("cuda:0") != std::string::npos);
  }
  CHECK(text_of(report).find("    managed memory 900 MiB, on the device or the host as it is used\n") !=
        std::string::npos);
}

TEST_CASE("colours only when asked for") {
  render::TextOptions options;
  CHECK(text_of(sample(), options).find('\x1b') == std::string::npos);
  options.colour = true;
  CHECK(text_of(sample(), options).find("\x1b[1;31mgrowing\x1b[0m") != std::string::npos);
}

TEST_CASE("no line is wider than the terminal, no number is cut, and paths keep their ends") {
  Report report = large_sample();
  report.frames[1].file = "/home/me/project/" + std::string(40, 'd') + "/" + std::string(60, 'e') + "/model.py";
  report.frames[1].function = std::string(200, 'F');
  report.frames[2].source =
      "    total_loss += some_function(with_many, arguments_of, considerable, length)  # and a comment";
  report.ledger[0].driver_used_bytes = 12044 * mib;
  report.process.command = {"python", "train.py", std::string(300, 'x')};
  report.ooms = {{1, 12.5, 0, "tensor", 8ull << 30, 613 * mib, 11468 * mib, {}, {}, {}}};
  report.ooms[0].stack = {FrameId(0), FrameId(1), FrameId(2)};
  report.losses.notes = {"/usr/lib/libexample.so is not there any more: its functions have no names"};
  const std::string group = GENERATE("site", "file", "module", "owner", "role");
  const std::string sort = GENERATE("bytes", "peak");
  for (int width = 60; width <= 200; ++width) {
    render::TextOptions options;
    options.width = width;
    options.group_by = group;
    options.sort = sort;
    const std::vector<std::string> lines = lines_of(text_of(report, options));
    for (const std::string& line : lines) {
      INFO(width << ": " << line);
      CHECK(utf8::width(line) <= static_cast<std::size_t>(width));
    }
    if (group != "site") continue;
    const std::vector<std::string> rows = rows_of(report, options);
    REQUIRE(rows.size() == 3);
    INFO(width << ": " << rows[0]);
    CHECK(rows[0].find(" 612.0 MiB") == 0);
    CHECK(rows[0].find("      48  steady   ") != std::string::npos);
    CHECK(rows[0].find("model.py:31") != std::string::npos);
    CHECK(rows[2].find(" train.py:27") != std::string::npos);
    if (width >= 80) CHECK(rows[2].find(" total_") != std::string::npos);
  }
}

TEST_CASE("places stand in one column, code in the next") {
  render::TextOptions options;
  options.width = 160;
  const std::vector<std::string> rows = rows_of(large_sample(), options);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0] ==
        " 612.0 MiB      48  steady   model.py:31       Block.__init__  parameters  (model.blocks.*.mlp.weight)");
  CHECK(rows[1] == "  96.0 MiB       3  one-off  ncclCommInitRank  libnccl.so.2  nccl");
  CHECK(rows[2] == "   1.0 MiB     118  growing  train.py:27       total_loss += loss  +512 B/step");
}

TEST_CASE("sort") {
  render::TextOptions options;
  const auto first = [&](const char* sort) {
    options.sort = sort;
    return rows_of(large_sample(), options).at(0);
  };
  CHECK(first("bytes").find("model.py:31") != std::string::npos);
  CHECK(first("count").find("train.py:27") != std::string::npos);
  CHECK(first("growth").find("train.py:27") != std::string::npos);
  Report report = large_sample();
  report.sites.back().peak_bytes = 9000 * mib;  // nothing of it lives, but it held the most
  options.sort = "peak";
  const std::vector<std::string> rows = rows_of(report, options);
  CHECK(rows.at(0).find("       0 B") == 0);
  CHECK(rows.at(0).find("8.8 GiB") != std::string::npos);
}

TEST_CASE("filter: file, function, module or owner") {
  render::TextOptions options;
  const auto count = [&](const char* filter) {
    options.filter = filter;
    return rows_of(large_sample(), options).size();
  };
  CHECK(count("") == 3);
  CHECK(count("nccl") == 1);
  CHECK(count("modules/linear.py") == 1);
  CHECK(count("Block.__init__") == 1);
  CHECK(count("torch.nn") == 1);
  CHECK(count("libnccl") == 1);
  CHECK(count("train.py") == 2);
  CHECK(count("no such thing") == 0);
  CHECK(text_of(large_sample(), options).find("only \"no such thing\"\n  nothing\n") != std::string::npos);
}

TEST_CASE("group by") {
  render::TextOptions options;
  const auto rows = [&](const char* group) {
    options.group_by = group;
    return rows_of(large_sample(), options);
  };
  using Rows = std::vector<std::string>;
  CHECK(rows("file") == Rows{" 612.0 MiB      48  steady   model.py",
                             "  96.0 MiB       3  one-off  /usr/lib/libnccl.so.2",
                             "   1.0 MiB     118  growing  train.py"});
  CHECK(rows("module") == Rows{" 612.0 MiB      48  steady   model",
                               "  96.0 MiB       3  one-off  /usr/lib/libnccl.so.2",
                               "   1.0 MiB     118  growing  train"});
  CHECK(rows("owner") ==
        Rows{" 613.0 MiB     166  growing  torch", "  96.0 MiB       3  one-off  nccl"});  // growing wins
  CHECK(rows("role") == Rows{" 705.0 MiB     168           unknown", "   4.0 MiB       1           parameter"});
  CHECK(text_of(large_sample(), options).find("Alive at exit, by role\n") != std::string::npos);
}

TEST_CASE("what somebody else holds, too, is said where it is a part, and no model's parameters") {
  Report report = sample();
  const auto add = [&](const char* path, Bytes bytes, const char* role, std::vector<HolderId> others) {
    HolderReport row;
    row.id = HolderId(report.holders.rows.size());
    row.path = row.variable = path;
    row.kind = "global";
    row.retained_bytes = bytes;
    row.blocks = 1;
    if (bytes > 0) row.roles[role] = bytes;
    row.also_held_by = std::move(others);
    report.holders.rows.push_back(row);
  };
  report.holders.moment = "exit";
  report.holders.held_bytes = 800 * mib;
  add("optimizer", 0, "", {});
  add("loaded", 320 * mib, "optimizer_state", {HolderId(0)});
  add("loaded", 160 * mib, "python", {});
  add("model", 100 * mib, "parameter", {HolderId(0)});
  add("model", 50 * mib, "gradient", {});
  add("shared", 80 * mib, "python", {HolderId(0)});
  const std::string text = text_of(report);
  CHECK(text.find("480 MiB  loaded  (2 blocks, 320 MiB also held by optimizer)") != std::string::npos);
  CHECK(text.find("150 MiB  model  (2 blocks)") != std::string::npos);
  CHECK(text.find("80.0 MiB  shared  (1 block)") != std::string::npos);
}

TEST_CASE("top: the rest is counted") {
  render::TextOptions options;
  options.top = 1;
  CHECK(rows_of(large_sample(), options).at(1) == "  97.0 MiB  in 2 more (--top 3 shows all)");
}

TEST_CASE("sites with the same line in the user's code are one row") {
  Report report = sample();
  report.frames.push_back(
      python("/venv/lib/python3.11/site-packages/torch/nn/modules/norm.py", 5, "LayerNorm.__init__"));
  report.sites.push_back(site(3, 8 * mib, 2, "steady", {3, 1, 2}));
  CHECK(text_of(report).find(" 620.0 MiB      50  steady   model.py:31") != std::string::npos);
}

TEST_CASE("code that is too long loses its comment first") {
  CHECK(render::cut_code("x = f(y)  # why", 20) == "x = f(y)  # why");
  CHECK(render::cut_code("x = f(y)  # why this is so", 12) == "x = f(y)");
  CHECK(render::cut_code("x = f('#', y)", 10) == "x = f('...");
}

TEST_CASE("of a path that does not fit, whole names from its end stay") {
  const std::string path = "/home/me/project/models/block.py";
  CHECK(render::short_path(path, 32) == path);
  CHECK(render::short_path(path, 31) == ".../me/project/models/block.py");
  CHECK(render::short_path(path, 20) == ".../models/block.py");
  CHECK(render::short_path(path, 12) == ".../block.py");
  CHECK(render::short_path(path, 11) == "block.py");
  CHECK(render::short_path(std::string(40, 'a') + ".py", 12) == utf8::shorten_middle(std::string(40, 'a') + ".py", 12));
}

TEST_CASE("glued words stay together") {
  CHECK(render::wrapped("in use " + render::glued("= 18.7 MiB") + " and more", 12) ==
        std::vector<std::string>{"in use", "= 18.7 MiB", "and more"});
}

TEST_CASE("wrapping keeps every word") {
  CHECK(render::wrapped("one two  three", 7) == std::vector<std::string>{"one two", "three"});
  CHECK(render::wrapped("a unbreakable b", 4) == std::vector<std::string>{"a", "unbreakable", "b"});
  CHECK(render::wrapped("", 10).empty());
}
