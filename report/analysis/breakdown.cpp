#include "report/analysis/breakdown.hpp"
#include "contract/notes.hpp"
#include "report/model/sites.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace vramtrack {
namespace {

constexpr auto tensor = static_cast<std::uint8_t>(trace::Layer::tensor);
constexpr std::uint64_t ever = ~std::uint64_t{0};

void add(std::vector<RoleShare>& shares, const std::string& role, const std::optional<std::string>& module, Bytes bytes,
         std::uint64_t blocks) {
  if (blocks == 0) return;
  for (RoleShare& share : shares) {
    if (share.role != role || share.module != module) continue;
    share.bytes += bytes;
    share.blocks += blocks;
    return;
  }
  shares.push_back({role, module, bytes, blocks});
}

Json seen_of(const Report& report) {
  const auto found = report.notes.find(std::string(trace::note_key::seen));
  return found == report.notes.end() ? Json() : found->second;
}

/// Nothing of a step lasts until the one after the next, unless somebody keeps it: outputs that an epoch collects.
bool outlives_steps(const trace::Site& site) noexcept {
  return site.freed_count > 0 && 2 * std::uint64_t{site.freed_late} > site.freed_count;
}

}  // namespace

Breakdown::Breakdown(const trace::TraceFile& trace, const Report& report, const TensorIndex& tensors,
                     const std::vector<std::vector<const trace::Block*>>& blocks)
    : trace_(trace),
      report_(report),
      tensors_(tensors),
      blocks_(blocks),
      names_(trace, seen_of(report)),
      lines_(trace) {
  frees_known_ = std::any_of(trace.sites.begin(), trace.sites.end(),
                             [](const trace::Site& site) { return site.used == 1 && site.freed_in_backward > 0; });
}

void Breakdown::label(const trace::Site& site, std::uint32_t index, bool workspace, SiteReport& result) {
  if (site.layer != tensor) return;
  const trace::Stack* const stack = trace_.stack(site.stack);
  const trace::Stack* const forward = site.forward == trace::no_stack ? nullptr : trace_.stack(site.forward);
  Labelled labelled;
  labelled.index = index;
  labelled.workspace = workspace;
  for (const trace::Stack* from : {stack, forward}) {
    if (from == nullptr) continue;
    if (!labelled.module) labelled.module = names_.of(from->module);
    if (!labelled.range) labelled.range = names_.of(from->range);
  }
  result.module = labelled.module;
  result.range = labelled.range;
  // Copies that are made all at once, such as those of a model's parameters, are no batches.
  const bool recurs = trace_.header.steps > 1 ? site.last_step > site.first_step : site.allocated_count > 1;
  labelled.phase = phase_of(report_, result, stack != nullptr && lines_.has(trace_, *stack), recurs);
  result.phase = labelled.phase.phase;
  const Shares shares = report_.at == "peak" ? shares_at_peak(labelled) : shares_of_blocks(labelled, ever);
  const auto most = std::max_element(shares.begin(), shares.end(),
                                     [](const RoleShare& a, const RoleShare& b) { return a.bytes < b.bytes; });
  if (most != shares.end()) {
    result.role = most->role;
    if (!result.module) result.module = most->module;
  } else if (const auto known = seen(labelled); !known.empty()) {
    result.role = known.front().role;
    if (!result.module) result.module = known.front().module;
  } else {
    result.role = guess(labelled, site);
  }
  labelled_.push_back(std::move(labelled));
}

/// What blocks of a site are that nobody was seen to hold.
std::string Breakdown::guess(const Labelled& labelled, const trace::Site& site) const {
  const PhaseOfSite& phase = labelled.phase;
  const bool dies_in_backward = 2 * std::uint64_t{site.freed_in_backward} > site.freed_count;
  if (labelled.workspace) return "workspace";
  if (phase.phase == "optimizer") return "temporary";
  if (phase.phase == "backward") return phase.recomputes ? "activation" : "temporary";
  if (!dies_in_backward && outlives_steps(site)) return "python";
  if (phase.phase == "forward") {
    if (frees_known_ && site.freed_count > 0) return dies_in_backward ? "activation" : "temporary";
    return phase.records || !lines_.known() ? "activation" : "temporary";
  }
  if (outlives_steps(site)) return "python";  // it waited, though a backward pass was the last to have it
  if (dies_in_backward && site.freed_count > 0) return "activation";
  if (phase.moves) return "parameter";
  if (phase.phase == "data" || phase.creates) return "python";
  return site.freed_count > 0 ? "temporary" : "unknown";
}

std::optional<std::string> Breakdown::module_of(const TensorFacts& facts, const Labelled& labelled) const {
  if (is_model_role(facts.role))
    if (auto owner = names_.owner(facts.name)) return owner;
  return labelled.module;
}

Breakdown::Shares Breakdown::shares_of_blocks(const Labelled& labelled, std::uint64_t until) const {
  Shares shares;
  const trace::Site& site = trace_.sites[labelled.index];
  for (const trace::Block* block : blocks_[labelled.index]) {
    if (block->time > until) continue;
    const auto facts = tensors_.find(block->address, block->bytes);
    if (facts && facts->role != "unknown") {
      const std::string role = facts->role == "saved_for_backward" ? "activation" : facts->role;
      add(shares, role, module_of(*facts, labelled), block->bytes, 1);
    } else {
      add(shares, guess(labelled, site), labelled.module, block->bytes, 1);
    }
  }
  return shares;
}

bool Breakdown::raised_peak(const trace::Site& site) const {
  const trace::Account* const account = trace_.account(trace::Layer::tensor, site.device, trace::Kind::all);
  return account != nullptr && account->peak_epoch != 0 && site.raised_epoch == account->peak_epoch;
}

/// Gradients that the autograd node which ran at the peak had made by then: no parameter has them yet.
std::uint64_t Breakdown::unfinished(const trace::Site& site) const {
  if (site.forward == trace::no_stack) return 0;
  for (const trace::Site& other : trace_.sites) {
    if (other.used != 1 || other.layer != tensor || other.device != site.device || !raised_peak(other)) continue;
    // A line that runs many times in a step has had its gradient before.
    const bool once = site.allocated_count <= std::uint64_t{trace_.header.steps} + 1;
    return other.forward == site.forward && once ? 1 : 0;
  }
  return 0;
}

/// What the agent's looks saw blocks of a site as. That a variable held some (`variables`) is worth saying of those
/// alone that would pass for temporaries: an activation may have a name, too.
std::vector<ModuleNames::Seen> Breakdown::seen(const Labelled& labelled, bool variables) const {
  std::vector<ModuleNames::Seen> result = names_.seen(labelled.index);
  const std::string role = guess(labelled, trace_.sites[labelled.index]);
  variables = variables && (role == "temporary" || role == "unknown");
  std::erase_if(result, [&](const ModuleNames::Seen& one) { return one.role == "python" && !variables; });
  for (ModuleNames::Seen& one : result)
    if (one.role == "python") one.module = labelled.module;
  return result;
}

Breakdown::Shares Breakdown::shares_at_peak(const Labelled& labelled, bool variables) const {
  const trace::Site& site = trace_.sites[labelled.index];
  Bytes bytes = trace_.bytes_at_peak(site);
  std::uint64_t blocks = trace_.count_at_peak(site);
  Shares shares;
  if (blocks == 0) return shares;
  const trace::Account* const account = trace_.account(trace::Layer::tensor, site.device, trace::Kind::all);
  // Those that lived on.
  if (account != nullptr && report_.at != "oom") shares = shares_of_blocks(labelled, account->peak_time);
  for (const RoleShare& share : shares) {
    bytes -= std::min(bytes, share.bytes);
    blocks -= std::min(blocks, share.blocks);
  }
  if (blocks == 0) return shares;
  const auto known = [&](const ModuleNames::Seen& seen) {
    const auto found = std::find_if(shares.begin(), shares.end(), [&](const RoleShare& share) {
      return share.role == seen.role && share.module == seen.module;
    });
    return found == shares.end() ? std::uint64_t{0} : found->blocks;
  };
  const auto all_seen = seen(labelled, variables);
  std::uint64_t wanted = 0;
  for (const ModuleNames::Seen& seen : all_seen) wanted += seen.blocks - std::min(seen.blocks, known(seen));
  std::uint64_t early = 0;  // gradients that are not gradients yet
  if (wanted > 0 && all_seen.front().role == "gradient") early = std::min(unfinished(site), blocks);
  if (early > 0) {
    const Bytes part = bytes / blocks * early;
    add(shares, "temporary", labelled.module, part, early);
    bytes -= part;
    blocks -= early;
  }
  const bool all_lived = wanted <= blocks;
  const Shares lived_on = shares;
  for (const ModuleNames::Seen& seen : all_seen) {
    const auto before = std::find_if(lived_on.begin(), lived_on.end(), [&](const RoleShare& share) {
      return share.role == seen.role && share.module == seen.module;
    });
    const std::uint64_t counted = before == lived_on.end() ? 0 : std::min(before->blocks, seen.blocks);
    const std::uint64_t left = std::min(seen.blocks - counted, blocks);
    if (left == 0) continue;
    const Bytes of_seen = seen.bytes - (before == lived_on.end() ? 0 : std::min(before->bytes, seen.bytes));
    // Where only some of them lived then, it is not known which.
    const Bytes part = all_lived ? std::min(of_seen, bytes) : bytes / blocks * left;
    add(shares, seen.role, all_lived || all_seen.size() == 1 ? seen.module : std::nullopt, part, left);
    bytes -= part;
    blocks -= left;
    if (blocks == 0) {  // nothing may be left over
      shares.back().bytes += bytes;
      bytes = 0;
      break;
    }
  }
  if (blocks > 0) add(shares, guess(labelled, site), labelled.module, bytes, blocks);
  return shares;
}

std::vector<BreakdownEntry> Breakdown::sum(bool peak) const {
  std::map<std::tuple<int, std::string, std::optional<std::string>, std::optional<std::string>, std::string>,
           std::pair<Bytes, std::uint64_t>>
      sums;
  for (const Labelled& labelled : labelled_) {
    const Shares shares = peak ? shares_at_peak(labelled) : shares_of_blocks(labelled, ever);
    for (const RoleShare& share : shares) {
      const int device = trace_.sites[labelled.index].device;
      auto& [bytes, blocks] = sums[{device, share.role, share.module, labelled.range, labelled.phase.phase}];
      bytes += share.bytes;
      blocks += share.blocks;
    }
  }
  std::vector<BreakdownEntry> entries;
  for (const auto& [key, amount] : sums) {
    const auto& [device, role, module, range, phase] = key;
    entries.push_back({device, role, module, range, phase, amount.first, amount.second});
  }
  std::stable_sort(entries.begin(), entries.end(), [](const BreakdownEntry& a, const BreakdownEntry& b) {
    return std::tuple(a.device, b.bytes) < std::tuple(b.device, a.bytes);
  });
  return entries;
}

std::vector<PeakPart> Breakdown::peak_parts() const {
  std::map<std::uint32_t, std::size_t> places;
  for (std::size_t i = 0; i < report_.sites.size(); ++i) places[report_.sites[i].id] = i;
  const bool counted = frees_known_ || !trace_.labels.empty();
  std::vector<PeakPart> parts;
  for (const Labelled& labelled : labelled_) {
    const auto place = places.find(labelled.index);
    if (place == places.end()) continue;
    const trace::Site& site = trace_.sites[labelled.index];
    PeakPart part;
    part.site = place->second;
    part.phase = labelled.phase.phase;
    const auto known = seen(labelled, false);
    part.usual_role = known.empty() ? guess(labelled, site) : known.front().role;
    part.makes_gradient = part.usual_role == "gradient";
    for (const ModuleNames::Seen& one : known)
      if (one.role == "gradient") part.gradients += one.bytes;
    part.raised = raised_peak(site);
    part.records = labelled.phase.records;
    part.outlives_steps = outlives_steps(site) && site.first_step != site.last_step;
    part.graph_unused =
        counted && part.records && part.phase == "forward" && site.freed_count > 0 && site.freed_in_backward == 0;
    Shares shares = shares_at_peak(labelled, false);
    if (shares.empty()) shares.push_back({"", labelled.module, 0, 0});
    for (RoleShare& share : shares) {
      part.share = std::move(share);
      parts.push_back(part);
      part.gradients = 0;
    }
  }
  return parts;
}

std::vector<BreakdownEntry> Breakdown::at_moment() const { return sum(false); }

std::vector<BreakdownEntry> Breakdown::at_peak() const { return sum(true); }

}  // namespace vramtrack
