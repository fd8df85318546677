// What was asked for, what filled the device, and which variable would give most of it back.
#include <algorithm>
#include <array>
#include <map>

#include "report/analysis/agent_facts.hpp"
#include "report/findings/grown.hpp"
#include "report/findings/oom_case.hpp"
#include "report/findings/oom_step.hpp"
#include "report/findings/registry.hpp"
#include "report/holders/known_holders.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::uint64_t few_passes = 4;  // a model may use a parameter as often in one

struct Held {
  Bytes bytes = 0;
  std::uint64_t count = 0;
};

/// Live bytes by holder expression, model and optimizer memory left out: what the script itself could let go.
std::vector<std::pair<std::string, Held>> held_by_script(const Report& report) {
  std::map<std::string, Held> sums;
  for (const AllocationReport& allocation : report.allocations) {
    if (!allocation.tensor || allocation.tensor->holder.empty()) continue;
    const std::string& role = allocation.tensor->role;
    if (is_model_role(role)) continue;
    Held& held = sums[blank_indices(allocation.tensor->holder)];
    held.bytes += allocation.bytes;
    ++held.count;
  }
  std::vector<std::pair<std::string, Held>> sorted(sums.begin(), sums.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  return sorted;
}

/// The variable of a chain, as it was seen to be named.
std::string observed_variable(const std::vector<std::vector<Holder>>& observed, const std::string& chain) {
  for (const auto& seen : observed)
    for (const Holder& holder : seen)
      if (holder.chain == chain) return holder.variable;
  return variable_of(chain);
}

const Frame* own_of(const Report& report, const std::vector<FrameId>& stack) {
  for (const FrameId id : stack)
    if (is_own_frame(report.frames[id])) return &report.frames[id];
  return nullptr;
}

/// What the driver said of the device at that moment: a limit that is PyTorch's own, memory that is not this program's.
/// Returns what to do about that, which goes before the rest of the fix.
std::string look_at_device(const Report& report, const OomReport& oom, Finding& finding) {
  std::string fix;
  constexpr Bytes margin = Bytes{64} << 20;          // PyTorch asks for somewhat more than was asked of it
  constexpr Bytes most_of_context = Bytes{2} << 30;  // with its modules
  for (const LedgerEntry& ledger : report.ledger) {
    const std::optional<Bytes> known = free_on(ledger);
    if (ledger.device != oom.device || !known) continue;
    const Bytes free = *known;
    const Bytes others = ledger.context_and_other_bytes.value_or(0);
    finding.evidence["device_free_bytes"] = free;
    if (free >= oom.requested_bytes + margin && oom.layer == "tensor") {
      finding.message += " The device still had " + human_bytes(free) +
                         " free: the limit is PyTorch's own (per_process_memory_fraction in PYTORCH_CUDA_ALLOC_CONF or "
                         "torch.cuda.set_per_process_memory_fraction).";
      fix = "Raise that limit. Else: ";
    } else if (others >= std::min(most_of_context, ledger.total_bytes / 4)) {
      finding.message +=
          " " + human_bytes(others) +
          " of the device are not this program's: `vramtrack ps` lists who holds a GPU, and what was left "
          "behind.";
      finding.evidence["other_bytes"] = others;
      fix = "End what holds the rest of the device, or use another one (CUDA_VISIBLE_DEVICES). Else: ";
    }
  }
  return fix;
}

/// What the steps before did not need, and where it came in, unless a name holds what fills the device.
void tell_larger_step(const Report& report, const OomReport& oom, Finding& finding) {
  if (finding.evidence.contains("freeable_bytes")) return;
  const std::optional<LargerStep> step = larger_step(report, oom);
  if (!step) return;
  finding.message += " In the " + human_count(report.steps.count) + " steps before tensors held " +
                     human_bytes(step->before) + " at most: what runs now works on more at once.";
  finding.evidence["steps_before_bytes"] = step->before;
  if (step->input == nullptr) return;
  const auto frame = own_frame(report, *step->input);
  if (!frame) return;
  finding.message += " Its input is larger: " + human_bytes(step->input_bytes) + " from " +
                     place(report.frames[*frame].file, report.frames[*frame].line) + ", where it was " +
                     human_bytes(step->usual_bytes) + " on average.";
  finding.evidence["input_bytes"] = step->input_bytes;
  finding.evidence["usual_input_bytes"] = step->usual_bytes;
  finding.fix += " Limit what one step gets: cut what is too long, or make batches by their number of elements.";
}

/// The three lines that hold most, each with all its call sites.
std::string largest_lines(const Report& report, const std::vector<const SiteReport*>& sites) {
  std::map<std::string, Bytes> sums;
  for (const SiteReport* site : sites) {
    const auto id = own_frame(report, *site);
    if (!id) continue;
    const Frame& frame = report.frames[*id];
    std::string line = frame.kind == "python" ? place(frame.file, frame.line) : frame_label(frame);
    if (frame.kind == "python" && !frame.function.starts_with('<')) line += " in " + frame.function;
    sums[line] += site->live_bytes;
  }
  std::vector<std::pair<std::string, Bytes>> lines(sums.begin(), sums.end());
  std::stable_sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  if (lines.size() > 3) lines.resize(3);
  std::string text;
  for (const auto& [line, bytes] : lines) {
    text += text.empty() ? " Most of it was allocated at " : ", ";
    text += line + " (" + human_bytes(bytes) + ")";
  }
  return text.empty() ? text : text + ".";
}

bool is_model_memory(const HolderReport& row) { return 2 * model_bytes(row.roles) > row.retained_bytes; }

/// Held by a name in Python, and no model, gradient or optimizer state, unless there were more and more of them: what
/// the program could let go.
bool can_go(const HolderReport& row) {
  return row.kind != "cxx" && !row.garbage && (!is_model_memory(row) || row.verdict == "growing");
}

/// What the pass that was running had saved for its backward pass so far: nobody keeps it by mistake.
bool is_running_pass(const Report& report, const OomCase& seen, const HolderReport& row) {
  const auto saved = row.roles.find("saved_for_backward");
  if (saved == row.roles.end() || 2 * saved->second <= row.retained_bytes) return false;
  const bool variable = row.kind == "local" || (row.kind == "global" && row.type == "torch.Tensor");
  if (row.kind != "library" && row.kind != "graph" && !variable) return false;
  if (report.steps.count > 0) return row.first_step == report.steps.count;
  if (variable && row.type == "torch.Tensor") {  // of one layer after the other, not of many passes
    const Holder* const local = observed(seen.holders, row.path);
    if (local != nullptr && local->graphs > 0 && local->uses < few_passes) return true;
  }
  return row.kind == "library" || !row.library.empty() || seen.in_backward;
}

/// The innermost row that has most of what the one above it has, and is no model; or what C++ alone holds, all rows of
/// one name together.
std::optional<HolderReport> main_holder(const HolderMoment& moment) {
  const HolderReport* freeable = nullptr;
  std::map<std::string, HolderReport> cxx;
  Bytes most = 0;  // of the row from which `freeable` was reached
  for (const HolderReport& row : moment.rows) {
    if (!row.parent && row.kind == "cxx") {
      const auto [at, fresh] = cxx.emplace(row.path, row);
      at->second.count = 1;
      if (!fresh) join(at->second, row);
    }
    // Elements of a container, or what they have in turn: that is the one to name. The parts of a model have names.
    const bool named = row.kind == "attribute" && (!row.parent || row.path.find('[') == std::string::npos);
    if (!can_go(row) || (row.count > 1 && !named && (row.parent || !row.also_held_by.empty()))) continue;
    const HolderReport* over = above(moment, row);
    while (over != nullptr && over->count > 1) over = above(moment, *over);
    const bool larger = row.retained_bytes > most;
    if (larger || (freeable != nullptr && over == freeable && 10 * row.retained_bytes >= 9 * freeable->retained_bytes))
      freeable = &row;
    if (larger) most = row.retained_bytes;
  }
  if (freeable != nullptr && freeable->kind == "graph" && above(moment, *freeable) != nullptr)
    freeable = above(moment, *freeable);  // the tensor that has the graph
  const auto largest = std::max_element(cxx.begin(), cxx.end(), [](const auto& a, const auto& b) {
    return a.second.retained_bytes < b.second.retained_bytes;
  });
  if (largest != cxx.end() && (freeable == nullptr || largest->second.retained_bytes > freeable->retained_bytes))
    return largest->second;
  return freeable == nullptr ? std::nullopt : std::optional(*freeable);
}

/// `error` of `error.__traceback__.tb_frame`: what a reader of the code calls an exception whose frames hold something.
std::string exception_of(const std::string& variable) {
  std::size_t end = variable.size();
  for (const std::string_view step : {".__traceback__", ".__context__", ".__cause__", ".tb_frame", ".tb_next"})
    end = std::min(end, variable.find(step));
  return variable.substr(0, end);
}

/// What to do about a holder that has most of the memory, by what it is. Ends in a space.
std::string let_hold_less(const HolderReport& row, const std::string& variable, bool trains) {
  const std::string name = "`" + variable + "`";
  if (2 * row.graph_bytes > row.retained_bytes)
    return (trains ? std::string()
                   : "Where no gradient is wanted, run this without a graph (`torch.no_grad()`, "
                     "`torch.inference_mode()`). Else: ") +
           "Let " + name +
           " be a number (`.item()`) or a detached value (`.detach()`): its graph keeps all that was computed for it. ";
  if (row.type.ends_with("Tensor"))
    return "Make " + name +
           " in parts (fewer rows at a time) or in a smaller type, or let go of it (`del`) once it is not needed. ";
  if (row.elements > 1 && is_model_memory(row))
    return "Let go of each model of " + name +
           ", and of its optimizer, once its work is done, or keep its weights in host memory (`.cpu()`). ";
  static constexpr std::array<std::string_view, 7> containers{"list",  "dict",        "tuple",      "set",
                                                              "deque", "defaultdict", "OrderedDict"};
  const std::size_t dot = row.type.rfind('.');
  if (std::ranges::find(containers, std::string_view(row.type).substr(dot == std::string::npos ? 0 : dot + 1)) !=
      containers.end())
    return "Let " + name +
           " hold less: numbers (`.item()`), copies in host memory (`.cpu()`), or fewer elements at a time. ";
  return "Keep in host memory what " + name + " holds, and move to the device what a step uses. ";
}

/// The single numbers to which a statement adds the loss of one pass after the other, for one backward pass to come:
/// `total += loss`, `losses.append(loss)`. nullptr: there are none.
const Holder* added_losses(const OomCase& seen) {
  const Holder* found = nullptr;
  for (const std::vector<Holder>& looks : seen.holders) {
    const Holder& last = looks.back();
    const bool loss = last.graphs > 0 && last.bytes <= sizeof(double) * last.count;
    if (!loss || !last.grows || !last.at_end || last.uses < few_passes || last.steps > 1) continue;
    if (found == nullptr || last.nodes > found->nodes) found = &last;
  }
  return found;
}

/// Whether what one backward pass is to work off at once fills the device. The passes before the one that runs are not
/// helped by a smaller batch.
bool tell_added_losses(const OomReport& oom, const OomCase& seen, Finding& finding) {
  const Holder* const losses = added_losses(seen);
  if (losses == nullptr || 2 * seen.graphs < oom.live_bytes || !seen.evaluation.empty()) return false;
  finding.variable = losses->variable;
  finding.message += " `" + losses->variable + "` (" + kind_of_variable(*losses) + ") adds up the losses of about " +
                     human_count(losses->uses) +
                     " passes, each of which keeps all that it saved until one `backward()` works them off together.";
  finding.fix =
      "Call `backward()` on the loss of each pass, divided by their number: gradients add up, and what the pass saved "
      "is freed. Keep its number for the sum: `" +
      losses->variable + (losses->count > 1 ? ".append(loss.item())`." : " += loss.item()`.") +
      " Where each pass needs the one before (a recurrent loop), cut the sequence and detach the state between the "
      "pieces.";
  if (!seen.trains) finding.fix += " Where no gradient is wanted, run the passes under `torch.no_grad()`.";
  finding.evidence["freeable_bytes"] = seen.graphs;
  finding.evidence["passes"] = losses->uses;
  return true;
}

void tell_pass(const OomCase& seen, const HolderReport& pass, Finding& finding) {
  finding.message += " The pass that was running had saved " + human_bytes(pass.retained_bytes) + " in " +
                     plural(pass.blocks, "block") + " for its backward pass by then.";
  if (!seen.evaluation.empty()) finding.message += " But " + seen.evaluation + ".";
  const bool first = seen.in_pieces || seen.pools_fill;
  finding.fix = (first ? finding.fix + " If that is not enough: " : std::string()) + advice_for_pass(seen);
}

/// Names the holder whose memory can be had back.
void tell_holder(const Report& report, const OomReport& oom, const OomCase& seen, Finding& finding) {
  const HolderMoment& moment = report.holders;
  Json holders = Json::array();
  for (const HolderReport& row : moment.rows) {
    if (!can_go(row) || row.count > 1) continue;
    holders.push_back(
        {{"holder", row.path}, {"variable", row.variable}, {"bytes", row.retained_bytes}, {"tensors", row.blocks}});
    if (holders.size() == 5) break;
  }
  finding.evidence["holders"] = std::move(holders);
  if (tell_added_losses(oom, seen, finding)) return;
  const std::optional<HolderReport> main = main_holder(moment);
  if (!main || 20 * main->retained_bytes < oom.live_bytes) {
    // The variables of a module's call that runs within itself are several, none of which can be named.
    for (const HolderReport& row : moment.rows)
      if (2 * row.retained_bytes >= oom.live_bytes && is_running_pass(report, seen, row))
        return tell_pass(seen, row, finding);
    return;
  }
  // A call's own working lists, such as those of an optimizer's first step: nothing that the program could let go.
  if (main->kind == "library" && 5 * main->retained_bytes < oom.live_bytes) return;
  if (is_running_pass(report, seen, *main)) return tell_pass(seen, *main, finding);
  const std::size_t local = main->path.find(" local ");
  if (main->kind == "library" && local != std::string::npos && known_in(moment, *main).known.empty()) {
    finding.message += " " + main->path.substr(0, local) + ", which was running, had " +  // no variable of the user's
                       human_bytes(main->retained_bytes) + " in its variable `" + main->variable + "`.";
    return;
  }
  if (main->known == holders::intermediate) {
    finding.message += " The statement that was running held " + human_bytes(main->retained_bytes) + " in " +
                       plural(main->blocks, "block") + " of results on its way to the next.";
    if (2 * main->retained_bytes >= oom.live_bytes) finding.fix = main->fix + (seen.in_pieces ? " " + finding.fix : "");
    return;
  }
  if (main->kind == "cxx" && main->variable.empty()) {  // autocast's cache has a name
    finding.message += " " + human_bytes(main->retained_bytes) + " in " + plural(main->blocks, "block") + " are " +
                       main->path + ": of the operation that was running, or kept by native code.";
    return;
  }
  std::string name = main->variable.empty() ? main->path : main->variable;
  if (const std::size_t unseen = name.find(" (held by native code"); unseen != std::string::npos) name.resize(unseen);
  finding.variable = exception_of(name);
  const bool of_exception = *finding.variable != name;
  const std::string also = of_exception ? "" : held_also(moment, *main);  // its frames hold much together
  const std::string adds =
      main->line_adds && main->file && main->line ? ", to which " + place(*main->file, *main->line) + " adds," : "";
  finding.message += " `" + *finding.variable + "`" +
                     (main->path != *finding.variable ? " (" + main->path + ")" : std::string()) +
                     (main->count > 1 ? " and " + std::to_string(main->count - 1) + " more like it hold "
                                      : adds + (also.empty() && adds.empty() ? " alone holds " : " holds ")) +
                     human_bytes(main->retained_bytes) + " in " + plural(main->blocks, "block") +
                     (main->count > 1 ? "; letting them go" : "; letting it go") + " would return that." + also;
  const HolderReport& known = known_in(moment, *main);
  if (!known.known.empty()) finding.message += " It is " + known.known + ".";
  finding.evidence["freeable_bytes"] = main->retained_bytes;
  if (!known.fix.empty())
    finding.fix = known.fix;
  else if ((2 * main->retained_bytes >= oom.live_bytes || main->verdict == "growing") && seen.smaller_device == 0)
    finding.fix =
        let_hold_less(*main, *finding.variable, seen.trains) + (seen.in_pieces || seen.pools_fill ? finding.fix : "");
  if (finding.fix.ends_with(' ')) finding.fix.pop_back();
}

/// Whether the program went on and came to its end as one that succeeds does: it caught the error.
bool was_handled(const Report& report) { return report.process.end.kind == "exit" && report.process.end.code == 0; }

Finding describe(const Report& report, const OomReport& oom) {
  const bool handled = was_handled(report);
  Finding finding = make("out-of-memory", handled ? "warning" : "error",
                         std::string(handled ? "Out of memory, which the program handled: " : "Out of memory: ") +
                             human_bytes(oom.requested_bytes) + " did not fit on cuda:" + std::to_string(oom.device));
  finding.bytes = oom.requested_bytes;
  if (const Frame* frame = own_of(report, oom.stack)) {
    finding.file = frame->file;
    if (frame->line > 0) finding.line = frame->line;
  }
  finding.message =
      (finding.file ? place(*finding.file, finding.line.value_or(0)) + " asked" : std::string("The program asked")) +
      " for " + human_bytes(oom.requested_bytes) + " while " +
      (oom.layer == "tensor" ? "tensors held " + human_bytes(oom.live_bytes)
                             : human_bytes(oom.live_bytes) + " was allocated") +
      (oom.reserved_bytes > oom.live_bytes
           ? " and the allocator had " + human_bytes(oom.reserved_bytes) + " from the device"
           : std::string()) +
      ".";
  finding.evidence = {{"n", oom.n},
                      {"requested_bytes", oom.requested_bytes},
                      {"live_bytes", oom.live_bytes},
                      {"reserved_bytes", oom.reserved_bytes},
                      {"handled", handled}};
  const OomCase seen = oom_case(report, oom);
  finding.fix = advice_for(oom, seen);
  if (report.at != "oom") return finding;  // the rest is that of another moment
  const std::string first = look_at_device(report, oom, finding);

  std::vector<const SiteReport*> sites;
  for (const SiteReport& site : report.sites)
    if (is_main_layer(report, site) && site.device == oom.device && site.live_bytes > 0) sites.push_back(&site);
  std::sort(sites.begin(), sites.end(), [](const auto* a, const auto* b) { return a->live_bytes > b->live_bytes; });
  finding.message += largest_lines(report, sites);
  if (sites.size() > 3) sites.resize(3);
  Json largest = Json::array();
  for (const SiteReport* site : sites) {
    std::string where = "?";
    if (const auto frame = own_frame(report, *site)) where = frame_label(report.frames[*frame]);
    largest.push_back(
        {{"site", site->id}, {"bytes", site->live_bytes}, {"blocks", site->live_count}, {"where", where}});
  }
  if (!sites.empty()) finding.site = sites.front()->id;
  finding.evidence["largest_sites"] = std::move(largest);

  if (report.holders.moment == "out_of_memory") {
    finding.message += shares_text(seen);
    finding.evidence["shares"] = shares_json(seen);
    tell_holder(report, oom, seen, finding);
    tell_larger_step(report, oom, finding);
    finding.fix = first + finding.fix;
    return finding;
  }
  const auto held = held_by_script(report);
  Json holders = Json::array();
  for (const auto& [chain, sum] : held) {
    holders.push_back({{"holder", chain},
                       {"variable", observed_variable(seen.holders, chain)},
                       {"bytes", sum.bytes},
                       {"tensors", sum.count}});
    if (holders.size() == 5) break;
  }
  if (!held.empty()) {
    const auto& [chain, sum] = held.front();
    finding.variable = observed_variable(seen.holders, chain);
    finding.message += " `" + *finding.variable + "` (" + chain + ") alone holds " + plural(sum.count, "tensor") +
                       " of " + human_bytes(sum.bytes) + "; letting it go would return that.";
    finding.evidence["freeable_bytes"] = sum.bytes;
  }
  finding.evidence["holders"] = std::move(holders);
  return finding;
}

}  // namespace

Findings out_of_memory(const Report& report) {
  if (report.ooms.empty()) return {};
  // An OOM report has its own event first or alone; at exit the first one is the one to understand.
  const OomReport* chosen = &report.ooms.front();
  if (const Json* n = note(report, "oom_number"); n != nullptr && n->is_number_unsigned())
    for (const OomReport& oom : report.ooms)
      if (oom.n == n->get<std::uint32_t>()) chosen = &oom;
  return {describe(report, *chosen)};
}

void tell_kept_error(const Report& report, Finding& finding) {
  if (!was_handled(report) || report.holders.moment != "exit") return;
  const auto known = holders::known_holders();
  const auto frames = std::ranges::find(known, "traceback_frames", &holders::KnownHolder::name);
  for (const HolderReport& row : report.holders.rows) {
    if (row.parent || row.garbage || frames == known.end() || row.known != frames->what) continue;
    if (row.retained_bytes < worth_telling || !is_large(report, row.retained_bytes)) continue;
    finding.message += " `" + exception_of(row.variable) + "`" +
                       (row.file && row.line ? " (" + place(*row.file, *row.line) + ")" : std::string()) +
                       " keeps an exception to the end, with " + human_bytes(row.retained_bytes) + " in " +
                       plural(row.blocks, "block") + " of the functions that it went through.";
    finding.fix = row.fix + " Of the error itself: " + finding.fix;
    finding.evidence["kept_by"] = row.path;
    finding.evidence["kept_bytes"] = row.retained_bytes;
    return;
  }
}

}  // namespace vramtrack::findings
