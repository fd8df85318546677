#include "report/load/analyse.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

#include "contract/dormant.hpp"
#include "contract/notes.hpp"
#include "contract/reader.hpp"
#include "report/analysis/advice.hpp"
#include "report/analysis/breakdown.hpp"
#include "report/analysis/device_ledger.hpp"
#include "report/analysis/fragmentation.hpp"
#include "report/analysis/hook_facts.hpp"
#include "report/analysis/named_times.hpp"
#include "report/analysis/process_facts.hpp"
#include "report/analysis/site_judge.hpp"
#include "report/analysis/tensor_facts.hpp"
#include "report/analysis/timeline.hpp"
#include "report/analysis/totals.hpp"
#include "report/findings/findings.hpp"
#include "report/holders/holders.hpp"
#include "report/model/input_error.hpp"
#include "report/model/read_fact.hpp"
#include "report/model/sites.hpp"
#include "report/support/log.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "report/symbolize/stack_resolver.hpp"

namespace vramtrack {
namespace {

using trace::Kind;
using trace::Layer;

class Analysis {
 public:
  Analysis(const trace::TraceFile& trace, const AnalyseOptions& options)
      : trace_(trace), options_(options), stacks_(trace, options, report_), n_(options.at == "oom" ? options.oom : 0) {
    if (n_ != 0) {
      for (const trace::Oom& oom : trace.ooms) {
        if (oom.record.n == n_) oom_ = &oom;
      }
      if (oom_ == nullptr) {
        throw InputError(trace.path, std::nullopt,
                         "has no out-of-memory event " + std::to_string(n_) + " (there are " +
                             std::to_string(trace.ooms.size()) + ")",
                         "choose another moment with --at");
      }
    }
  }

  Report run() {
    std::optional<log::Step> step("facts, at " + options_.at);
    report_.at = options_.at;
    report_.process = process_facts(trace_);
    report_.environment = environment_facts(trace_);
    report_.steps.count = oom_ != nullptr ? oom_->record.step : trace_.header.steps;
    report_.steps.source = trace_.header.step_source == 1 ? "optimizer" : "none";
    read_notes();
    if (n_ != 0) report_.notes["oom_number"] = n_;  // the finding tells of this event, not of the first
    if (const auto note = report_.notes.find(std::string(trace::note_key::tensors)); note != report_.notes.end()) {
      tensors_ = TensorIndex(note->second);
    }
    collect_blocks();
    report_.doors = doors_of(report_);
    report_.audit = audit_of(report_);
    report_.totals = totals_of(trace_);
    if (oom_ != nullptr) set_totals_from_blocks();
    step.emplace("call sites and the names of their stacks");
    add_sites();
    add_allocations();
    add_ledger();
    report_.timeline = timeline(trace_);
    add_ooms();
    add_contexts();
    add_losses();
    stacks_.finish();
    step.emplace("holders");
    report_.marks = named_marks(report_, trace_);
    report_.phases = named_phases(report_, trace_);
    holders::TrainedModules trained;
    if (!at_peak()) {  // of the peak no single blocks are known
      trained = holders::add_holders(report_, trace_, n_, options_.source_text);
      report_.fragmentation = fragmentation(trace_, report_, blocks_of_site_, owners_);
    }
    if (oom_ == nullptr)
      report_.advice = advise(report_, peak_parts_, trace_.header.second_order != 0,
                              names_->outermost(trained.without, trained.with_optimizer));
    step.emplace("findings");
    findings::settle_bounded_sites(report_);
    report_.findings = findings::find_all(report_);
    mark_growing_graphs();
    return std::move(report_);
  }

 private:
  bool at_peak() const { return options_.at == "peak"; }

  void read_notes() {
    for (const trace::Note& note : trace_.notes) {
      const bool adds_up = note.key.size() > 2 && note.key.compare(note.key.size() - 2, 2, "[]") == 0;
      if (note.n != n_ && !(note.n == 0 && (adds_up || report_.notes.count(note.key) == 0))) continue;
      Json value = read_fact(note.value);
      if (!adds_up) {
        report_.notes[note.key] = std::move(value);
        continue;
      }
      Json& list = report_.notes[note.key];
      if (!list.is_array()) list = Json::array();
      if (value.is_array()) {
        list.insert(list.end(), value.begin(), value.end());
      } else {
        list.push_back(std::move(value));
      }
    }
  }

  /// The live blocks of the moment; at the peak, of which only is known what each site held, those of the end.
  void collect_blocks() {
    blocks_of_site_.resize(trace_.sites.size());
    const std::vector<trace::Block>& all = oom_ != nullptr ? oom_->blocks : trace_.blocks;
    for (const trace::Block& block : all) {
      if (block.site < trace_.sites.size()) blocks_of_site_[block.site].push_back(&block);
    }
  }

  void set_totals_from_blocks() {
    for (Total& total : report_.totals) {
      total.live_bytes = 0;
      total.live_count = 0;
      for (std::size_t i = 0; i < trace_.sites.size(); ++i) {
        const trace::Site& site = trace_.sites[i];
        if (total.layer != layer_name(site.layer) || total.device != site.device ||
            total.kind != kind_name(site.kind)) {
          continue;
        }
        for (const trace::Block* block : blocks_of_site_[i]) {
          total.live_bytes += block->bytes;
          ++total.live_count;
        }
      }
    }
  }

  void add_sites() {
    const SiteJudge judge(trace_, report_, tensors_, blocks_of_site_,
                          oom_ != nullptr ? std::optional(oom_->record.time) : std::nullopt);
    owners_.resize(trace_.sites.size());
    Breakdown breakdown(trace_, report_, tensors_, blocks_of_site_);
    for (std::uint32_t i = 0; i < trace_.sites.size(); ++i) {
      if (trace_.sites[i].used == 1) add_site(i, judge, breakdown);
    }
    std::sort(report_.sites.begin(), report_.sites.end(), [](const SiteReport& a, const SiteReport& b) {
      if (a.live_bytes != b.live_bytes) return a.live_bytes > b.live_bytes;
      return a.stack != b.stack ? a.stack < b.stack : a.id < b.id;
    });
    if (oom_ == nullptr) {
      report_.peak_breakdown = breakdown.at_peak();
      peak_parts_ = breakdown.peak_parts();
      names_.emplace(breakdown.names());
    }
    report_.breakdown = at_peak() ? report_.peak_breakdown : breakdown.at_moment();
  }

  void add_site(std::uint32_t index, const SiteJudge& judge, Breakdown& breakdown) {
    const trace::Site& site = trace_.sites[index];
    const ResolvedStack& stack = stacks_.resolve(site.stack);
    SiteReport result;
    result.id = SiteId(index);
    result.layer = layer_name(site.layer);
    result.kind = kind_name(site.kind);
    result.device = site.device;
    result.owner = site.layer == static_cast<std::uint8_t>(Layer::tensor) ? "torch" : stack.owner;
    owners_[index] = result.owner;
    result.live_bytes = site.live_bytes;
    result.live_count = site.live_count;
    if (at_peak()) {
      result.live_bytes = trace_.bytes_at_peak(site);
      result.live_count = trace_.count_at_peak(site);
    } else if (oom_ != nullptr) {
      result.live_bytes = 0;
      for (const trace::Block* block : blocks_of_site_[index]) result.live_bytes += block->bytes;
      result.live_count = blocks_of_site_[index].size();
    }
    result.largest_bytes = site.largest_bytes;
    result.peak_bytes = site.own_peak_bytes;
    result.at_peak_bytes = trace_.bytes_at_peak(site);
    result.at_peak_count = trace_.count_at_peak(site);
    result.allocated_bytes = site.allocated_bytes;
    result.allocated_count = site.allocated_count;
    result.first_time = trace_.seconds(site.first_time);
    result.last_time = trace_.seconds(site.last_time);
    result.stack = stack.frames;
    if (site.forward != trace::no_stack) result.backward_of = stacks_.resolve(site.forward).frames;
    // At the peak single blocks are not known; those alive at the end stand for them: verdicts are about the run.
    judge.judge(site, result);
    breakdown.label(site, index, judge.is_workspace(result), result);
    if (result.live_bytes >= options_.min_size)
      report_.sites.push_back(std::move(result));
    else
      log::trace("skipped: call site ", index, ": ", result.live_bytes, " bytes, less than --min-size");
  }

  void add_allocations() {
    if (at_peak()) {
      for (const SiteReport& site : report_.sites) {
        report_.allocations_omitted.count += site.live_count;
        report_.allocations_omitted.bytes += site.live_bytes;
      }
      return;
    }
    std::vector<const trace::Block*> blocks;
    for (const SiteReport& site : report_.sites) {
      const auto& own = blocks_of_site_[site.id];
      blocks.insert(blocks.end(), own.begin(), own.end());
    }
    const auto larger = [](const trace::Block* a, const trace::Block* b) {
      if (a->bytes != b->bytes) return a->bytes > b->bytes;
      return a->site != b->site ? a->site < b->site : a->address < b->address;
    };
    const std::size_t listed = std::min(blocks.size(), options_.max_allocations);
    std::partial_sort(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(listed), blocks.end(), larger);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const trace::Block& block = *blocks[i];
      if (i >= listed || block.bytes < options_.min_size) {
        ++report_.allocations_omitted.count;
        report_.allocations_omitted.bytes += block.bytes;
        continue;
      }
      const trace::Site& site = trace_.sites[block.site];
      AllocationReport result;
      result.address = block.address;
      result.bytes = block.bytes;
      result.layer = layer_name(site.layer);
      result.kind = kind_name(site.kind);
      result.device = site.device;
      const bool vmm = site.kind == static_cast<std::uint8_t>(Kind::vmm);
      result.stream = vmm ? 0 : block.stream;
      result.mapped_at = vmm ? block.stream : 0;  // see docs/trace-format.md
      result.site = SiteId(block.site);
      result.time = trace_.seconds(block.time);
      result.step = block.step;
      result.thread = block.thread;
      if (result.layer == "tensor") result.tensor = tensors_.find(block.address, block.bytes);
      report_.allocations.push_back(std::move(result));
    }
  }

  void add_ledger() {
    std::vector<std::string> owners;
    std::unordered_map<std::string, std::uint32_t> known;
    const auto owner_id = [&](const std::string& owner) {
      const auto [at, added] = known.try_emplace(owner, static_cast<std::uint32_t>(owners.size()));
      if (added) owners.push_back(owner);
      return at->second;
    };
    std::vector<LedgerBlock> blocks;
    for (std::uint32_t i = 0; i < trace_.sites.size(); ++i) {
      const trace::Site& site = trace_.sites[i];
      if (site.used != 1) continue;
      const auto layer = static_cast<Layer>(site.layer);
      const auto kind = static_cast<Kind>(site.kind);
      if (at_peak()) {  // one block stands for all of a site; holes are not known
        const Bytes bytes = trace_.bytes_at_peak(site);
        if (bytes > 0) blocks.push_back({layer, kind, site.device, 0, bytes, 0, owner_id(owners_[i])});
        continue;
      }
      for (const trace::Block* block : blocks_of_site_[i]) {
        blocks.push_back({layer, kind, site.device, block->address, block->bytes, kind == Kind::vmm ? block->stream : 0,
                          owner_id(owners_[i])});
      }
    }
    const auto info = report_.notes.find(std::string(trace::note_key::memory_info));
    const bool usable = info != report_.notes.end() && !at_peak();
    report_.ledger = device_ledger(blocks, owners, report_.environment.devices, usable ? info->second : Json(nullptr));
    for (LedgerEntry& entry : report_.ledger) {
      const bool hands_out =
          std::any_of(trace_.accounts.begin(), trace_.accounts.end(), [&](const trace::Account& account) {
            return account.used && account.layer == static_cast<std::uint8_t>(trace::Layer::tensor) &&
                   account.device == entry.device && account.allocated_count > 0;
          });
      if (!hands_out) entry.cached_bytes = 0;  // PyTorch without its cache: what it holds is in use
      if (!hands_out || at_peak()) entry.largest_free_cached_block_bytes = 0;
    }
  }

  void add_ooms() {
    for (const trace::Oom& oom : trace_.ooms) {
      const trace::OomRecord& record = oom.record;
      OomReport result;
      result.n = record.n;
      result.time = trace_.seconds(record.time);
      result.device = record.device;
      result.layer = layer_name(record.layer);
      result.requested_bytes = record.requested_bytes;
      result.live_bytes = record.live_bytes;
      result.reserved_bytes = record.reserved_bytes;
      result.stack = stacks_.resolve(record.stack).frames;
      add_waiting_frames(record.n, result.stack);
      result.sites = amounts(oom.blocks);
      report_.ooms.push_back(std::move(result));
    }
  }

  /// A backward pass runs out of memory in a thread of autograd's, which has no Python frame: the frames of the thread
  /// that waits for it are the cause. The graph of who holds whom has those that hold memory.
  void add_waiting_frames(std::uint32_t n, std::vector<FrameId>& stack) {
    if (std::ranges::any_of(stack, [&](FrameId frame) { return report_.frames[frame].kind == "python"; })) return;
    for (const trace::HeapGraph& graph : trace_.graphs) {
      if (graph.moment() != trace::GraphMoment::out_of_memory || graph.record.number != n) continue;
      std::vector<const trace::GraphNode*> frames;
      std::set<std::uint64_t> waiting;  // threads
      for (const trace::GraphNode& node : graph.nodes) {
        if (node.kind != trace::GraphNodeKind::frame || (node.flags & trace::graph_suspended) != 0) continue;
        frames.push_back(&node);
        if (graph.string(node.file).find("/torch/autograd/") != std::string::npos) waiting.insert(node.thread);
      }
      std::ranges::stable_sort(frames, {}, &trace::GraphNode::depth);
      for (const trace::GraphNode* frame : frames)
        if (waiting.size() == 1 && waiting.contains(frame->thread))
          stack.push_back(stacks_.python_frame(graph.string(frame->name), graph.string(frame->file),
                                               static_cast<int>(frame->line)));
    }
  }

  void add_contexts() {
    std::map<std::pair<int, std::uint64_t>, std::size_t> alive;  // by device and handle
    for (const trace::ContextRecord& record : trace_.contexts) {
      const auto key = std::pair<int, std::uint64_t>(record.device, record.handle);
      if (record.begins == 0) {
        if (const auto known = alive.extract(key))
          report_.contexts[known.mapped()].ended_time = trace_.seconds(record.time);
        continue;
      }
      alive[key] = report_.contexts.size();
      ContextReport& context = report_.contexts.emplace_back();
      context.device = record.device;
      context.primary = record.handle == 0;
      context.time = trace_.seconds(record.time);
      context.thread = record.thread;
      context.stack = stacks_.resolve(record.stack).frames;
    }
  }

  /// What each listed site held, by site.
  std::vector<SiteAmount> amounts(const std::vector<trace::Block>& blocks) const {
    std::map<SiteId, SiteAmount> sums;
    for (const SiteReport& site : report_.sites) sums[site.id].site = site.id;
    for (const trace::Block& block : blocks) {
      const auto at = sums.find(SiteId(block.site));
      if (at == sums.end()) continue;  // left out by --min-size
      at->second.live_bytes += block.bytes;
      ++at->second.live_count;
    }
    std::vector<SiteAmount> held;
    for (const auto& [id, amount] : sums) {
      if (amount.live_count > 0) held.push_back(amount);
    }
    return held;
  }

  /// A tensor whose autograd graph grows is one small block that never moves: its births show nothing. The finding
  /// knows better, and the site that it names is growing.
  void mark_growing_graphs() {
    for (const Finding& finding : report_.findings) {
      if (finding.code != "history-accumulation" || !finding.file || !finding.line) continue;
      for (SiteReport& site : report_.sites) {
        if (site.live_bytes == 0 || site.layer != "tensor" || site.verdict == "growing") continue;
        const std::optional<FrameId> own = own_frame(report_, site);
        if (!own || report_.frames[*own].line != *finding.line || report_.frames[*own].file != *finding.file) continue;
        site.verdict = "growing";
        site.evidence =
            "few bytes on the device, but the tensor's autograd graph grows with every step: see " + finding.code;
      }
    }
  }

  void add_losses() {
    const trace::Losses& losses = trace_.header.losses;
    LossReport& out = report_.losses;
    out.dropped_events = losses.dropped_events;
    out.unknown_frees = losses.unknown_frees;
    out.torn_records = trace_.torn_records;
    for (const std::string& warning : trace_.warnings) out.notes.push_back(utf8::sanitise(warning));
    const auto add = [&](std::uint64_t count, const char* what) {
      if (count > 0) out.notes.push_back(std::to_string(count) + " " + what);
    };
    if ((trace::dormant_bits(trace_.header) & trace::was_off) != 0)
      out.notes.push_back("recording was off for a part of the run: what was allocated then is not in this report");
    add(losses.dropped_stacks, "stacks could not be stored");
    add(losses.dropped_history, "history events could not be kept up with");
    add(losses.truncated_stacks, "stacks are cut: more frames than the limit");
    add(losses.python_unreadable, "stacks have no Python part: the interpreter's frames could not be read");
    add(losses.replaced_blocks, "blocks were replaced by another at the same address: their free was not seen");
    add(losses.dropped_ooms, "out-of-memory events have no snapshot: only the first ones keep one");
    if (const auto errors = report_.notes.find(std::string(trace::note_key::agent_error));
        errors != report_.notes.end()) {
      std::vector<std::pair<std::string, std::uint64_t>> told;  // each with how often, in the order of the first
      for (const Json& error : errors->second) {
        if (!error.is_string()) continue;
        const std::string text = utf8::sanitise(error.get<std::string>());
        const auto known = std::ranges::find(told, text, &std::pair<std::string, std::uint64_t>::first);
        if (known == told.end())
          told.push_back({text, 1});
        else
          ++known->second;
      }
      for (const auto& [text, count] : told)
        out.notes.push_back("the Python agent: " + text + (count > 1 ? ", " + human_count(count) + " times" : ""));
    }
  }

  const trace::TraceFile& trace_;
  const AnalyseOptions& options_;
  Report report_;
  StackResolver stacks_;
  TensorIndex tensors_{Json(nullptr)};
  std::uint32_t n_;
  const trace::Oom* oom_ = nullptr;
  std::vector<std::vector<const trace::Block*>> blocks_of_site_;
  std::vector<std::string> owners_;  // of each site
  std::vector<PeakPart> peak_parts_;
  std::optional<ModuleNames> names_;
};

constexpr std::size_t most_oom_moments = 4;  // that a report holds, and a page offers, beside the one that is told

/// Who ran out of memory wants to know what filled the device then: at exit it may be gone. The problems of an
/// out-of-memory event, in the place of what the end knows of it.
void add_findings_of_oom(Report& report, std::vector<Finding> of_oom, std::uint32_t n) {
  std::vector<Finding>& found = report.findings;
  for (Finding& finding : of_oom) {
    const bool is_event = finding.code == "out-of-memory";
    if (finding.severity == "info") continue;
    if (is_event) {
      std::erase_if(found, [](const Finding& known) { return known.code == "out-of-memory"; });
      findings::tell_kept_error(report, finding);
    }
    const bool known = std::any_of(found.begin(), found.end(), [&](const Finding& other) {
      return other.code == finding.code && other.file == finding.file &&
             (other.variable == finding.variable || (finding.line && other.line == finding.line));
    });
    if (known) continue;
    finding.evidence["at"] = "oom:" + std::to_string(n);
    if (!is_event) finding.message += " Seen when memory ran out.";
    found.push_back(std::move(finding));
  }
  findings::drop_repeated(report, found);
  findings::worst_first(found);
}

/// The event whose problems are told: of a program that handled its errors the first one, else the one that it ended
/// with, as far as somebody looked at it then.
std::size_t event_to_tell(const trace::TraceFile& trace, const Report& report) {
  if (report.process.end.kind != "exit" || report.process.end.code == 0) return 0;
  for (std::size_t i = trace.ooms.size(); i-- > 1;)
    if (std::ranges::any_of(trace.graphs, [&](const trace::HeapGraph& graph) {
          return graph.moment() == trace::GraphMoment::out_of_memory && graph.record.number == trace.ooms[i].record.n;
        }))
      return i;
  return 0;
}

}  // namespace

Report analyse(const trace::TraceFile& trace, const AnalyseOptions& options) {
  Report report = Analysis(trace, options).run();
  if (options.at != "exit") return report;
  const std::size_t told = event_to_tell(trace, report);
  for (std::size_t i = 0; i < trace.ooms.size(); ++i) {
    if (i >= most_oom_moments && i != told) continue;
    AnalyseOptions at_oom = options;
    at_oom.at = "oom";
    at_oom.oom = trace.ooms[i].record.n;
    Report then = Analysis(trace, at_oom).run();
    if (i == told) add_findings_of_oom(report, std::move(then.findings), at_oom.oom);
    report.ooms[i].breakdown = std::move(then.breakdown);
    // The end has it as one look of many: this is the event's own.
    std::erase_if(report.moments, [&](const HolderMoment& moment) { return moment.oom == at_oom.oom; });
    for (HolderMoment& moment : then.moments) {
      if (moment.oom != at_oom.oom) continue;
      report.ooms[i].holders = moment.rows;
      report.moments.push_back(std::move(moment));
    }
  }
  std::ranges::stable_sort(report.moments, {}, &HolderMoment::time);
  return report;
}

}  // namespace vramtrack
