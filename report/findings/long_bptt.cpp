// Backpropagation through a long sequence: within one step, one parameter is used N times in one graph (its gradient
// accumulator has N in-edges), and at the peak the same sites hold about N blocks each. Depth does not look like this:
// stacked layers have parameters of their own.
#include <algorithm>

#include "report/findings/registry.hpp"
#include "report/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::uint64_t long_sequence = 100;

/// Blocks that a site held at the peak, by its mean block.
double blocks_at_peak(const SiteReport& site) {
  if (site.allocated_count == 0 || site.allocated_bytes == 0) return 0;
  return static_cast<double>(site.peak_bytes) * static_cast<double>(site.allocated_count) /
         static_cast<double>(site.allocated_bytes);
}

}  // namespace

Findings long_bptt(const Report& report) {
  const Holder* longest = nullptr;
  const auto all = holders_by_variable(report);
  for (const auto& seen : all)
    for (const Holder& holder : seen)
      if (holder.uses >= long_sequence && holder.steps <= 1 && (longest == nullptr || holder.uses > longest->uses))
        longest = &holder;
  if (longest == nullptr) return {};

  Bytes repeated = 0, scratch = 0;  // scratch: workspaces, which have nothing to do with the sequence
  const SiteReport* largest = nullptr;
  double times = 0;
  for (const SiteReport& site : report.sites) {
    if (site.layer != "tensor" || site.verdict == "growing") continue;
    if (site.verdict == "cache") scratch += std::min(site.peak_bytes, site.live_bytes);
    const double blocks = blocks_at_peak(site);
    if (blocks < static_cast<double>(longest->uses) / 2) continue;
    repeated += site.peak_bytes;
    times = std::max(times, blocks);
    if (largest == nullptr || site.peak_bytes > largest->peak_bytes) largest = &site;
  }
  const Bytes peak = peak_bytes(report) - std::min(scratch, peak_bytes(report));
  if (largest == nullptr || repeated < peak * 4 / 10 || repeated < (1 << 20)) return {};

  const auto steps = static_cast<std::uint64_t>(std::max(times + 0.5, static_cast<double>(longest->uses)));
  Finding finding = make("long-bptt", "warning", "Memory grows with the length of the sequence");
  finding.site = largest->id;
  finding.bytes = repeated;
  if (const auto frame = own_frame(report, *largest)) {
    finding.file = report.frames[*frame].file;
    if (report.frames[*frame].line > 0) finding.line = report.frames[*frame].line;
  }
  for (const auto& seen : all)  // the variable that the repeated line sets, if it was seen
    for (const Holder& holder : seen)
      if (holder.uses * 2 >= longest->uses && finding.file == holder.file && finding.line == holder.line)
        finding.variable = holder.variable;
  finding.message = "Within one step the same code ran about " + human_count(steps) +
                    " times and every pass kept its intermediate "
                    "results for backward: " +
                    human_bytes(repeated) + " of the peak of " + human_bytes(peak) +
                    ". This memory is proportional to the length of the sequence (backpropagation through time).";
  finding.fix =
      "Cut the sequence into pieces of 35 to 100 steps and detach the hidden state between them "
      "(`h = h.detach()` after each `backward()`).";
  finding.evidence = {{"repetitions", steps},
                      {"parameter_uses", longest->uses},
                      {"saved_bytes", repeated},
                      {"bytes_per_repetition", repeated / std::max<std::uint64_t>(steps, 1)},
                      {"share_of_peak", static_cast<double>(repeated) / static_cast<double>(std::max<Bytes>(peak, 1))}};
  return {finding};
}

}  // namespace vramtrack::findings
