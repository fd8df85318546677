// Backpropagation through a long sequence. Either the program's own loop: within one step, one parameter is used N
// times in one graph (its gradient accumulator has N in-edges), and at the peak the same sites hold about N blocks
// each; depth does not look like this: stacked layers have parameters of their own. Or cuDNN's: one node of the graph
// is a whole RNN, and says how long its sequence is and what it keeps for it; its work space grows with that too.
#include <algorithm>
#include <utility>

#include "report/findings/registry.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::uint64_t long_sequence = 100;

/// What a long sequence takes.
struct Sequence {
  std::uint64_t steps = 0;
  Bytes kept = 0;
  Bytes work_space = 0;                 // besides, at the peak
  const SiteReport* largest = nullptr;  // site of the kept blocks

  Bytes bytes() const { return kept + work_space; }
};

/// Blocks that a site held at the peak, by its mean block.
double blocks_at_peak(const SiteReport& site) {
  if (site.allocated_count == 0 || site.allocated_bytes == 0) return 0;
  return static_cast<double>(site.peak_bytes) * static_cast<double>(site.allocated_count) /
         static_cast<double>(site.allocated_bytes);
}

/// The highest of a number that holders of one step's graphs carry.
const Holder* highest(const std::vector<std::vector<Holder>>& all, std::uint64_t Holder::*number) {
  const Holder* found = nullptr;
  for (const auto& seen : all)
    for (const Holder& holder : seen)
      if (holder.*number >= long_sequence && holder.steps <= 1 && (found == nullptr || holder.*number > found->*number))
        found = &holder;
  return found;
}

Sequence own_loop(const Report& report, const Holder& longest) {
  Sequence sequence;
  double times = static_cast<double>(longest.uses);
  for (const SiteReport& site : report.sites) {
    if (site.layer != "tensor" || site.verdict == "growing") continue;
    const double blocks = blocks_at_peak(site);
    if (blocks < static_cast<double>(longest.uses) / 2) continue;
    sequence.kept += site.peak_bytes;
    times = std::max(times, blocks + 0.5);
    if (sequence.largest == nullptr || site.peak_bytes > sequence.largest->peak_bytes) sequence.largest = &site;
  }
  sequence.steps = static_cast<std::uint64_t>(times);
  return sequence;
}

enum class FusedCall { none, forward, backward };

FusedCall fused_call(const Report& report, const SiteReport& site) {
  for (const FrameId id : site.stack) {
    const std::string& name = report.frames[id].function;
    const auto has = [&name](const char* part) { return name.find(part) != std::string::npos; };
    if ((has("_cudnn_rnn") || has("miopen_rnn")) && !has("flatten"))
      return has("backward") ? FusedCall::backward : FusedCall::forward;
  }
  return FusedCall::none;
}

Sequence fused(const Report& report, const Holder& longest) {
  Sequence sequence{longest.sequence, longest.sequence_bytes};
  Bytes forward = 0, backward = 0;  // at the peak
  for (const SiteReport& site : report.sites) {
    const FusedCall call = site.layer == "tensor" ? fused_call(report, site) : FusedCall::none;
    if (call == FusedCall::none) continue;
    (call == FusedCall::forward ? forward : backward) += site.at_peak_bytes.value_or(0);
    const auto size = [](const SiteReport& of) { return std::pair(of.at_peak_bytes.value_or(0), of.peak_bytes); };
    if (call == FusedCall::forward && (sequence.largest == nullptr || size(site) > size(*sequence.largest)))
      sequence.largest = &site;
  }
  if (sequence.kept == 0) sequence.kept = forward;  // backward had freed it when the graph was seen
  sequence.work_space = forward + backward - std::min(sequence.kept, forward + backward);
  return sequence;
}

Bytes peak_without_workspaces(const Report& report) {
  Bytes scratch = 0;  // which has nothing to do with the sequence
  for (const SiteReport& site : report.sites)
    if (site.layer == "tensor" && site.verdict == "cache") scratch += std::min(site.peak_bytes, site.live_bytes);
  return peak_bytes(report) - std::min(scratch, peak_bytes(report));
}

}  // namespace

Findings long_bptt(const Report& report) {
  const auto all = holders_by_variable(report);
  const Holder* repeated = highest(all, &Holder::uses);
  const Holder* in_one_call = highest(all, &Holder::sequence);
  const Bytes peak = peak_without_workspaces(report);
  const auto dominates = [&](const Sequence& sequence) {
    return sequence.largest != nullptr && sequence.bytes() >= peak * 4 / 10 && sequence.bytes() >= worth_telling;
  };
  Sequence sequence;
  if (repeated != nullptr) sequence = own_loop(report, *repeated);
  const bool is_fused = !dominates(sequence) && in_one_call != nullptr;
  if (is_fused) sequence = fused(report, *in_one_call);
  if (!dominates(sequence)) return {};

  Finding finding = make("long-bptt", "warning", "Memory grows with the length of the sequence");
  finding.site = sequence.largest->id;
  finding.bytes = sequence.bytes();
  point_at(finding, report, *sequence.largest);
  if (!is_fused)
    for (const auto& seen : all)  // the variable that the repeated line sets, if it was seen
      for (const Holder& holder : seen)
        if (holder.uses * 2 >= repeated->uses && finding.file == holder.file && finding.line == holder.line)
          finding.variable = holder.variable;
  finding.message = (is_fused ? "One call ran a recurrent network over " + human_count(sequence.steps) +
                                    " time steps and kept their results for backward: "
                              : std::string(report.steps.count > 0 ? "Within one step the" : "The") +
                                    " same code ran about " + human_count(sequence.steps) +
                                    " times and every pass kept its intermediate results for backward: ") +
                    human_bytes(sequence.kept) +
                    (sequence.work_space == 0 ? "" : ", and " + human_bytes(sequence.work_space) + " of work space,") +
                    " of the peak of " + human_bytes(peak) +
                    (peak < peak_bytes(report) ? " (without the workspaces of the libraries)" : "") +
                    ". This memory is proportional to the length of the sequence (backpropagation through time).";
  const bool trains = ran_backward(report);
  finding.fix = trains ? "Cut" : std::string(without_graph) + ", and nothing is kept for it. Else cut";
  finding.fix +=
      " the sequence into pieces of 35 to 100 steps and detach the hidden state between them (`h = h.detach()` after "
      "each `backward()`).";
  if (trains && !is_fused)
    finding.fix +=
        " Where the passes do not need each other and only their losses are added up, call `backward()` on each: "
        "gradients add up.";
  finding.evidence = {
      {"repetitions", sequence.steps},
      {"saved_bytes", sequence.kept},
      {"bytes_per_repetition", sequence.bytes() / std::max<std::uint64_t>(sequence.steps, 1)},
      {"share_of_peak", static_cast<double>(sequence.bytes()) / static_cast<double>(std::max<Bytes>(peak, 1))}};
  if (sequence.work_space != 0) finding.evidence["work_space_bytes"] = sequence.work_space;
  if (!is_fused) finding.evidence["parameter_uses"] = repeated->uses;
  return {finding};
}

}  // namespace vramtrack::findings
