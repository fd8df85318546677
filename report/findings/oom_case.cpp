#include "report/findings/oom_case.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "contract/notes.hpp"
#include "report/analysis/loss_memory.hpp"
#include "report/holders/known_holders.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::findings {
namespace {

bool in_backward(const Report& report, const OomReport& oom) {
  return std::ranges::any_of(oom.stack, [&](FrameId id) {
    const Frame& frame = report.frames[id];
    return frame.kind == "native" ? frame.function.starts_with("torch::autograd::Engine::")
                                  : frame.function == "_engine_run_backward";
  });
}

/// Whether a word of a function's name says that it learns nothing: `run_validation`, `Trainer.test_epoch`.
bool is_named_as_evaluation(std::string_view function) {
  static constexpr std::array<std::string_view, 15> words{"eval",       "evaluate",  "evaluation", "valid",  "validate",
                                                          "validation", "val",       "test",       "infer",  "predict",
                                                          "prediction", "inference", "generate",   "sample", "extract"};
  function.remove_prefix(function.rfind('.') == std::string_view::npos ? 0 : function.rfind('.') + 1);
  bool evaluates = false;
  for (std::size_t at = 0; at < function.size();) {
    const std::size_t end = std::min(function.find('_', at), function.size());
    const std::string_view word = function.substr(at, end - at);
    if (word == "train" || word == "training" || word == "fit") return false;
    evaluates |= std::ranges::find(words, word) != words.end();
    at = end + 1;
  }
  return evaluates;
}

std::string why_evaluation(const Report& report) {
  const Json* pass = note(report, trace::note_key::pass);
  if (pass == nullptr || !get(*pass, fact::pass::records).value_or(false)) return "";
  const std::string module = get(*pass, fact::pass::c).value_or("");
  const std::string function = get(*pass, fact::pass::fn).value_or("");
  if (!module.empty() && !get(*pass, fact::pass::training).value_or(true))
    return "`" + module + "` is in evaluation mode (`eval()`)";
  return is_named_as_evaluation(function) ? "`" + function + "()` is called like an evaluation" : "";
}

/// Takes what a row holds out of the shares that its roles are in. What a graph holds is that, whatever holds it, but
/// for a holder that is known.
Bytes take_out(const HolderReport& row, std::map<std::string, Bytes>& by_role) {
  Bytes taken = 0;
  for (const auto& [role, bytes] : row.roles) {
    const bool graph = role == "saved_for_backward";
    if (graph && row.known.empty()) continue;
    Bytes& from = by_role[graph ? "activation" : role];
    const Bytes part = std::min(from, bytes);
    from -= part;
    taken += part;
  }
  return taken;
}

/// Whether models, their gradients, the optimizers and the workspaces, which no batch makes smaller, had nearly all.
bool model_fills(const OomReport& oom, const OomCase& seen) {
  return oom.live_bytes > 0 && 2 * seen.model >= oom.live_bytes &&
         5 * (seen.model + seen.workspaces) >= 4 * oom.live_bytes;
}

/// Whether one segment that can grow would have given what was asked for: PyTorch has returned all that it could before
/// it gave up, so what its cache still has lies beside blocks that live.
bool is_in_pieces(const Report& report, const OomReport& oom, const OomCase& seen) {
  const bool expandable = std::ranges::any_of(report.fragmentation, [&](const Fragmentation& device) {
    return device.device == oom.device && std::ranges::any_of(device.segments, &PinnedSegment::expandable);
  });
  if (oom.layer != "tensor" || expandable || 10 * seen.cached < oom.reserved_bytes) return false;
  const Bytes margin = seen.cached >= oom.requested_bytes ? 0 : oom.requested_bytes / 20;
  return seen.cached + seen.device_free >= oom.requested_bytes + margin;
}

}  // namespace

std::optional<Bytes> free_on(const LedgerEntry& device) {
  if (!device.driver_used_bytes || *device.driver_used_bytes > device.total_bytes) return std::nullopt;
  return device.total_bytes - *device.driver_used_bytes;
}

OomCase oom_case(const Report& report, const OomReport& oom) {
  OomCase seen;
  seen.in_backward = in_backward(report, oom);
  seen.trains = report.steps.count > 0 || seen.in_backward || report.holders.has_optimizer ||
                std::ranges::any_of(report.allocations, [](const AllocationReport& allocation) {
                  return allocation.tensor && allocation.tensor->role == "gradient";
                });
  seen.cached = oom.reserved_bytes > oom.live_bytes ? oom.reserved_bytes - oom.live_bytes : 0;
  seen.pools = private_pools(report, oom.device);
  seen.pools.unused = std::min(seen.pools.unused, seen.cached);
  seen.cached -= seen.pools.unused;
  seen.pools_fill = seen.pools.unused > 0 && 5 * seen.pools.unused >= oom.reserved_bytes;
  for (const LedgerEntry& entry : report.ledger) {
    if (entry.device != oom.device) continue;
    if (report.at == "oom") seen.device_free = free_on(entry).value_or(0);
    seen.largest_piece = entry.largest_free_cached_block_bytes;
    if (oom.requested_bytes > entry.total_bytes) seen.smaller_device = entry.total_bytes;
  }
  seen.in_pieces = is_in_pieces(report, oom, seen);
  if (report.at != "oom") return seen;
  std::map<std::string, Bytes> by_role;
  for (const BreakdownEntry& entry : report.breakdown)
    if (entry.device == oom.device) by_role[entry.role] += entry.bytes;
  for (const HolderReport& row : report.holders.rows) {
    if (row.parent) continue;
    if (row.kind == "cxx" || row.garbage) seen.unnamed += take_out(row, by_role);
    if (row.known == holders::intermediate) seen.passing += take_out(row, by_role);
  }
  seen.model = model_bytes(by_role);
  seen.graphs = by_role["activation"];
  seen.named = by_role["python"];
  seen.workspaces = by_role["workspace"];
  seen.passing += by_role["temporary"] + by_role["unknown"];
  std::vector<HeldBySite> held;
  for (const SiteReport& site : report.sites)
    if (site.device == oom.device && site.layer == oom.layer) held.push_back({&site, site.live_bytes, site.live_count});
  const LossMemory loss = loss_memory(report, held);
  seen.loss = loss.bytes;
  if (loss.bytes > 0 && 2 * oom.requested_bytes >= loss.block) seen.loss += oom.requested_bytes;
  seen.holders = holders_by_variable(report);
  seen.evaluation = why_evaluation(report);
  return seen;
}

std::string shares_text(const OomCase& seen) {
  std::string shares;
  const auto share = [&](Bytes bytes, const std::string& what) {
    if (bytes >= (1 << 20)) shares += (shares.empty() ? "" : ", ") + human_bytes(bytes) + " " + what;
  };
  share(seen.named, "held by names in Python");
  share(seen.model, "of models, gradients and optimizers");
  share(seen.graphs, "saved for backward");
  share(seen.unnamed, "held by no Python name");
  share(seen.passing, "in use for a moment");
  share(seen.workspaces, "of workspaces");
  share(seen.pools.unused,
        "that " + plural(seen.pools.pools, "private pool") + " (of CUDA graphs, of `MemPool`) keep for themselves");
  share(seen.cached, "in the allocator's cache in pieces of at most " + human_bytes(seen.largest_piece));
  return shares.empty() ? shares : " Of it: " + shares + ".";
}

Json shares_json(const OomCase& seen) {
  return {{"named", seen.named},         {"model", seen.model},
          {"graphs", seen.graphs},       {"unnamed", seen.unnamed},
          {"temporaries", seen.passing}, {"workspaces", seen.workspaces},
          {"cached", seen.cached},       {"private_pools", seen.pools.unused}};
}

std::string advice_for(const OomReport& oom, const OomCase& seen) {
  if (seen.pools_fill) return pools_fix;
  if (seen.in_pieces)
    return "The allocator has " + human_bytes(seen.cached) + " that no tensor uses" +
           (seen.cached < oom.requested_bytes
                ? ", and the device " + human_bytes(seen.device_free) + " free, together enough"
                : std::string()) +
           ", but no piece is large enough: set PYTORCH_ALLOC_CONF=expandable_segments:True.";
  if (seen.smaller_device > 0)
    return "No " + human_bytes(seen.smaller_device) +
           " device can give that in one piece, empty or not: look at the size of this one tensor, and make it in "
           "parts or in a smaller type.";
  if (model_fills(oom, seen))
    return "The model, its gradients and the optimizer's state fill the device; a smaller batch changes little. Keep "
           "them in fewer bytes (bfloat16 parameters, an 8-bit optimizer or one with less state), shard them over "
           "several devices (FSDP, ZeRO), or keep them in host memory.";
  if (seen.graphs > 0 && !seen.evaluation.empty()) return advice_for_pass(seen);
  if (seen.trains) return "Free what is not needed, use a smaller batch, or accumulate gradients over several.";
  return 20 * seen.graphs >= oom.live_bytes && seen.graphs > 0
             ? "Free what is not needed, use a smaller batch, and run without a graph (`torch.no_grad()`, "
               "`torch.inference_mode()`) where no gradient is wanted."
             : "Free what is not needed, or work on fewer elements at a time (a smaller batch, parts of the data).";
}

std::string advice_for_pass(const OomCase& seen) {
  const std::string less =
      "a smaller batch (and accumulate gradients over several), run modules through torch.utils.checkpoint, or compute "
      "in bfloat16 (torch.autocast): less is saved for backward then.";
  if (!seen.evaluation.empty())
    return "If no backward pass follows, run it without a graph (`with torch.no_grad():`, `torch.inference_mode()`): "
           "nothing is saved then. Else use " +
           less;
  if (seen.trains && 2 * seen.loss >= seen.graphs)
    return human_bytes(seen.loss) + " are the outputs of the last layer and the loss of them. " + loss_in_parts_fix +
           " Or use a smaller batch, and accumulate gradients over several.";
  return seen.trains ? "Use " + less
                     : "Where no gradient is wanted, run without a graph (`torch.no_grad()`, "
                       "`torch.inference_mode()`): nothing is saved then. Else use " +
                           less;
}

}  // namespace vramtrack::findings
