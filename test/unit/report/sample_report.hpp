// A report made by hand, as a small training run would give it: what the renderers' tests start from.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "report/render/render.hpp"

namespace vramtrack::test {

inline constexpr Bytes mib = 1 << 20;

inline Frame python(const std::string& file, int line, const std::string& function) {
  Frame frame;
  frame.kind = "python";
  frame.file = file;
  frame.line = line;
  frame.function = function;
  return frame;
}

inline SiteReport site(std::uint32_t id, Bytes bytes, std::uint64_t count, const std::string& verdict,
                       const std::vector<std::uint32_t>& stack) {
  SiteReport result;
  result.id = SiteId(id);
  result.layer = "tensor";
  result.kind = "block";
  result.owner = "torch";
  result.verdict = verdict;
  result.live_bytes = result.peak_bytes = bytes;
  result.live_count = count;
  result.stack = std::vector<FrameId>(stack.begin(), stack.end());
  return result;
}

inline Report sample() {
  Report report;
  report.process.pid = 4242;
  report.process.command = {"python", "train.py"};
  report.process.cwd = "/home/me/project";
  report.process.duration = 151;
  report.process.end = {"exit", 0};
  report.environment.devices = {{0, "NVIDIA H100 80GB HBM3", 80ull << 30}};
  report.steps.count = 118;
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
  weight.tensor = TensorFacts{{1024, 1024}, "float32", "model.blocks.3.mlp.weight", "parameter", "", std::nullopt};
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

inline std::string text_of(const Report& report, const render::TextOptions& options = {}) {
  std::ostringstream out;
  render::text(report, out, options);
  return out.str();
}

}  // namespace vramtrack::test
