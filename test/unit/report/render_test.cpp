#include <catch2/catch.hpp>
#include <sstream>

#include "report/render/json_writer.hpp"
#include "report/render/render.hpp"
#include "report/support/utf8.hpp"

using namespace vramtrack;

namespace {

constexpr Bytes mib = 1 << 20;

Frame python(const std::string& file, int line, const std::string& function) {
  Frame frame;
  frame.kind = "python";
  frame.file = file;
  frame.line = line;
  frame.function = function;
  return frame;
}

SiteReport site(std::uint32_t id, Bytes bytes, std::uint64_t count, const std::string& verdict,
                const std::vector<FrameId>& stack) {
  SiteReport result;
  result.id = id;
  result.layer = "tensor";
  result.kind = "block";
  result.owner = "torch";
  result.verdict = verdict;
  result.live_bytes = result.peak_bytes = bytes;
  result.live_count = count;
  result.stack = stack;
  return result;
}

Report sample() {
  Report report;
  report.process.pid = 4242;
  report.process.command = {"python", "train.py"};
  report.process.cwd = "/home/me/project";
  report.process.duration = 151;
  report.process.end = {"exit", 0};
  report.environment.devices = {{0, "NVIDIA H100 80GB HBM3", 80ull << 30}};
  report.steps = 118;
  Total total;
  total.layer = "tensor";
  total.kind = "block";
  total.live_bytes = 613 * mib;
  total.live_count = 214;
  total.allocated_count = 10000;
  total.peak_bytes = 10533 * mib;
  total.peak_at_step = 118;
  report.totals = {total};
  LedgerEntry ledger;
  ledger.total_bytes = 80ull << 30;
  ledger.tensors_live_bytes = 613 * mib;
  ledger.cached_bytes = 10855 * mib;
  ledger.largest_free_cached_block_bytes = 2048 * mib;
  ledger.owners = {{"torch", 11468 * mib}, {"nccl", 96 * mib}};
  report.ledger = {ledger};
  report.frames = {python("/venv/lib/python3.11/site-packages/torch/nn/modules/linear.py", 100, "Linear.__init__"),
                   python("/home/me/project/model.py", 31, "Block.__init__"),
                   python("/home/me/project/train.py", 27, "<module>")};
  report.frames[2].source = "    total_loss += loss";
  report.sites = {site(0, 612 * mib, 48, "steady", {0, 1, 2}), site(1, mib, 118, "growing", {2}),
                  site(2, 0, 0, "recent", {2})};
  report.sites[1].growth.bytes_per_step = 512;
  AllocationReport weight;
  weight.bytes = 4 * mib;
  weight.layer = "tensor";
  weight.tensor = TensorFacts{{1024, 1024}, "float32", "model.blocks.3.mlp.weight", "parameter", ""};
  report.allocations = {weight};
  Finding finding;
  finding.code = "history-accumulation";
  finding.severity = "error";
  finding.title = "a graph grows";
  finding.message =
      "`total_loss` (a global of train.py) keeps the autograd graph of every step alive: 118 steps, 512 B "
      "and 3 graph nodes a step.";
  finding.fix = "total_loss += loss.item()";
  finding.docs = "docs/findings/history-accumulation.md";
  finding.file = "/home/me/project/train.py";
  finding.line = 27;
  report.findings = {finding};
  return report;
}

std::string text_of(const Report& report, render::TextOptions options = {}) {
  std::ostringstream out;
  render::text(report, out, options);
  return out.str();
}

}  // namespace

TEST_CASE("the text report, word for word") {
  render::TextOptions options;
  options.width = 110;
  options.report_path = "vramtrack-out/vramtrack-4242.json";
  CHECK(text_of(sample(), options) ==
        R"(vramtrack  python train.py   pid 4242   2 min 31 s   exit 0
  cuda:0 NVIDIA H100 80GB HBM3    live 613 MiB in 214 blocks    peak 10.3 GiB at step 118    reserved 11.2 GiB
    cached by PyTorch 10.6 GiB (largest free piece 2.00 GiB), nccl 96.0 MiB

1 problem
  history-accumulation  train.py:27   total_loss += loss
    `total_loss` (a global of train.py) keeps the autograd graph of every step alive: 118 steps, 512 B and 3
    graph nodes a step.
    Fix: total_loss += loss.item()
    docs/findings/history-accumulation.md

Alive at exit, by call site
     bytes  blocks  verdict  call site
 612.0 MiB      48  steady   model.py:31  Block.__init__  parameters  (model.blocks.*.mlp.weight)
   1.0 MiB     118  growing  train.py:27  total_loss += loss  +512 B/step

full report  vramtrack-out/vramtrack-4242.json      page  vramtrack report --format html vramtrack-out/vramtrack-4242.json
)");
}

TEST_CASE("colours only when asked for") {
  render::TextOptions options;
  CHECK(text_of(sample(), options).find('\x1b') == std::string::npos);
  options.colour = true;
  CHECK(text_of(sample(), options).find("\x1b[1;31mgrowing\x1b[0m") != std::string::npos);
}

TEST_CASE("no table row is wider than the terminal, and no number is cut") {
  Report report = sample();
  report.frames[1].file = "/home/me/project/" + std::string(40, 'd') + "/" + std::string(60, 'e') + "/model.py";
  report.frames[1].function = std::string(200, 'F');
  for (int width = 60; width <= 200; width += 7) {
    render::TextOptions options;
    options.width = width;
    std::istringstream lines(text_of(report, options));
    for (std::string line; std::getline(lines, line);) {
      if (line.find(" steady ") == std::string::npos) continue;
      INFO(width << ": " << line);
      CHECK(utf8::width(line) <= static_cast<std::size_t>(width));
      CHECK(line.find("612.0 MiB      48") != std::string::npos);
      CHECK(line.find("model.py:31") != std::string::npos);
    }
  }
}

TEST_CASE("top, sort, filter and group-by") {
  render::TextOptions options;
  options.top = 1;
  CHECK(text_of(sample(), options).find("   1.0 MiB  in 1 more") != std::string::npos);
  options = {};
  options.sort = "count";
  const std::string by_count = text_of(sample(), options);
  CHECK(by_count.find("train.py:27  total_loss") < by_count.find("model.py:31"));
  options = {};
  options.filter = "Linear";
  const std::string filtered = text_of(sample(), options);
  CHECK(filtered.find("model.py:31") != std::string::npos);
  CHECK(filtered.find("train.py:27  total_loss += loss  +") == std::string::npos);
  options = {};
  options.group_by = "file";
  CHECK(text_of(sample(), options).find(" 612.0 MiB      48  steady   model.py\n") != std::string::npos);
  options.group_by = "owner";
  CHECK(text_of(sample(), options).find(" 613.0 MiB     166  growing  torch\n") != std::string::npos);
  options.group_by = "role";
  const std::string roles = text_of(sample(), options);
  CHECK(roles.find("   4.0 MiB       1           parameter\n") != std::string::npos);
  CHECK(roles.find(" 609.0 MiB     165           unknown\n") != std::string::npos);
}

TEST_CASE("sites with the same line in the user's code are one row") {
  Report report = sample();
  report.frames.push_back(
      python("/venv/lib/python3.11/site-packages/torch/nn/modules/norm.py", 5, "LayerNorm.__init__"));
  report.sites.push_back(site(3, 8 * mib, 2, "steady", {3, 1, 2}));
  CHECK(text_of(report).find(" 620.0 MiB      50  steady   model.py:31") != std::string::npos);
}

TEST_CASE("hostile names reach neither the terminal nor the structure of a format") {
  Report report = sample();
  report.frames[1].function = "\x1b[2J</script>\";\n\xe2\x80\xae" + std::string(10000, 'x');
  report.process.command = {"a\x1b]0;title\x07"};
  CHECK(text_of(report).find('\x1b') == std::string::npos);
  std::ostringstream folded;
  render::folded(report, folded);
  std::istringstream lines(folded.str());
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) CHECK(line.find_last_of(' ') < line.size() - 1);
  CHECK(count == 2);

  std::ostringstream json;
  report.frames[0].function = "\xff\xfe\x00 invalid";
  report.frames[0].file = std::string("nul\0inside", 10);
  render::json(report, json);
  CHECK(utf8::is_valid(json.str()));
  const Json parsed = Json::parse(json.str());
  CHECK(parsed["frames"][0]["file"] == std::string("nul\0inside", 10));
  CHECK(parsed["frames"][1]["function"] == report.frames[1].function);
}

TEST_CASE("folded stacks: outermost first, bytes last") {
  std::ostringstream out;
  render::folded(sample(), out);
  CHECK(out.str() ==
        "<module> (train.py:27);Block.__init__ (model.py:31);Linear.__init__ (linear.py:100) 641728512\n"
        "<module> (train.py:27) 1048576\n");
}

TEST_CASE("numbers in JSON keep all their digits") {
  std::ostringstream out;
  {
    render::JsonWriter writer(out);
    writer.begin_array();
    writer.value(std::uint64_t{18446744073709551615u});
    writer.value(std::int64_t{-9223372036854775807});
    writer.value(0.1);
    writer.value(1e300 * 1e300);
    writer.end_array();
  }
  CHECK(out.str() == "[18446744073709551615, -9223372036854775807, 0.1, null]");
}

TEST_CASE("an empty report is rendered") {
  const std::string text = text_of(Report{});
  CHECK(text.find("No problem found") != std::string::npos);
  CHECK(text.find("  nothing\n") != std::string::npos);
}
