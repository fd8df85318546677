// A local that still holds memory near the peak (or at OOM) although no later instruction reads it.
// The agent promises: the bytecode never reads it again on any path, nothing else refers to the object, no view and no
// autograd node shares its memory. So `del` frees exactly these bytes.
#include <algorithm>
#include <map>
#include <tuple>

#include "contract/notes.hpp"
#include "report/findings/registry.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

struct Dead {
  std::string variable, file, function;
  Bytes bytes = 0;
  std::uint64_t tensors = 1;
  int line = 0, running = 0;
  bool module = false;
  Bytes live = 0;
  std::uint32_t step = 0;
};

Dead read_dead(const Json& part) {
  namespace from = fact::unread;
  Dead dead;
  dead.variable = get(part, from::v).value_or("");
  dead.file = get(part, from::f).value_or("");
  dead.function = get(part, from::fn).value_or("");
  dead.bytes = get(part, from::b).value_or(0);
  dead.tensors = get(part, from::c).value_or(1);
  dead.line = static_cast<int>(get(part, from::l).value_or(0));
  dead.running = static_cast<int>(get(part, from::at).value_or(0));
  dead.module = get(part, from::module).value_or(false);
  return dead;
}

Finding describe(const Dead& dead, bool at_oom) {
  const auto& [variable, file, function, bytes, tensors, line, running, module, live, step] = dead;
  Finding finding = make("dead-local", "warning", "`" + variable + "` holds memory that nothing reads again");
  finding.file = file;
  if (line > 0) finding.line = line;
  finding.variable = variable;
  finding.bytes = bytes;
  finding.message = "When line " + std::to_string(running) + " ran" + (at_oom ? " out of memory" : "") + ", `" +
                    variable + "` (" +
                    (module ? "a global of " + place(file, 0) : "a local of " + function + ", " + place(file, line)) +
                    ") still held " + human_bytes(bytes) + " of the " + human_bytes(live) + " in use, and " +
                    (module ? "this file does not read it again" : "nothing reads it after that line") +
                    ". A variable lives until its function ends, also when it was set in a loop.";
  finding.fix = "Add `del " + variable + "` before line " + std::to_string(running) +
                ", or do that part in a function of its own.";
  finding.evidence = {
      {"running_line", running}, {"function", function},
      {"live_bytes_then", live}, {"share", live == 0 ? 0.0 : static_cast<double>(bytes) / static_cast<double>(live)},
      {"tensors", tensors},      {"step", step}};
  return finding;
}

/// What a variable alone keeps, whatever it is, as the graph of who holds whom shows it. `known`: what is told already.
Findings from_graph(const Report& report, const Findings& known) {
  Findings found;
  const std::string_view wanted = report.at == "oom" ? "out_of_memory" : "look";
  for (const HolderMoment& moment : report.moments) {
    if (moment.moment != wanted || (report.at != "oom" && moment.held_bytes < peak_bytes(report) / 10 * 7)) continue;
    for (const HolderReport& row : moment.rows) {
      if (row.idle_at == 0 || row.retained_bytes < worth_telling || row.retained_bytes < moment.held_bytes / 10)
        continue;
      if (std::any_of(known.begin(), known.end(), [&](const Finding& finding) {
            return finding.variable == row.variable && finding.file == row.file;
          }))
        continue;
      const Dead dead{
          row.variable,         row.file.value_or(""), row.idle_in,         row.retained_bytes, row.blocks,
          row.line.value_or(0), row.idle_at,           row.idle_in.empty(), moment.held_bytes,  moment.step};
      Finding finding = describe(dead, report.at == "oom");
      if (!row.known.empty()) {
        finding.message += " It is " + row.known + ".";
        finding.fix += " " + row.fix;
      }
      found.push_back(std::move(finding));
    }
  }
  return found;
}

/// The device on which most of what the program ever had lay at once.
int main_device(const Report& report) {
  const Total* most = nullptr;
  for (const Total& total : report.totals)
    if (is_whole(report, total) && total.layer == "tensor" && (most == nullptr || total.peak_bytes > most->peak_bytes))
      most = &total;
  return most == nullptr ? -1 : most->device;
}

/// A checkpoint that torch.load() put where it was saved: on the device, which each process of several does on the
/// same.
void tell_loaded(const Report& report, Finding& finding) {
  const auto is_load = [&](FrameId id) {
    return report.frames[id].kind == "python" && report.frames[id].file.ends_with("/torch/serialization.py");
  };
  const auto loads = [&](const SiteReport& site) {
    const auto own = own_frame(report, site);
    return site.layer == "tensor" && own && report.frames[*own].file == finding.file &&
           report.frames[*own].line == finding.line && std::ranges::any_of(site.stack, is_load);
  };
  const auto site = std::ranges::find_if(report.sites, loads);
  if (site == report.sites.end()) return;
  const int device = main_device(report);
  if (device >= 0 && site->device != device)
    finding.message += " It lies on cuda:" + std::to_string(site->device) +
                       ", from which it was saved, and the process computes on cuda:" + std::to_string(device) +
                       ": each of several processes loads it there.";
  finding.fix = "Load it with `torch.load(..., map_location=\"cpu\")`. " + finding.fix;
}

}  // namespace

Findings dead_local(const Report& report) {
  std::map<std::tuple<std::string, std::string, std::string>, Dead> largest;
  const auto add = [&](const std::vector<const Json*>& parts, Bytes live, std::uint64_t step, bool in_training,
                       Bytes peak) {
    const bool at_peak = live >= peak / 10 * 7;
    // A look at a step tells of the peaks of all later ones, too, where the variable stays as it is.
    for (const Json* part : parts) {
      Dead dead = read_dead(*part);
      const bool stays = in_training && get(*part, fact::unread::stays).value_or(false) && dead.bytes >= peak / 10;
      if (dead.bytes < worth_telling || dead.bytes < live / 10 || !(at_peak || stays)) continue;
      dead.live = live;
      dead.step = static_cast<std::uint32_t>(step);
      const auto [known, fresh] = largest.try_emplace({dead.file, dead.function, dead.variable}, dead);
      if (!fresh && known->second.bytes < dead.bytes) known->second = std::move(dead);
    }
  };
  const bool at_oom = report.at == "oom";
  if (at_oom) {
    namespace from = fact::dead_locals;
    if (const Json* moment = note(report, trace::note_key::dead_locals))
      add(get(*moment, from::dead), get(*moment, from::live).value_or(0), get(*moment, from::step).value_or(0), true,
          0);
  } else {
    namespace from = fact::looks;
    for (const Json& look : list_of(report, trace::note_key::looks)) {
      // A look runs a moment after the height that asked for it, when temporaries may be gone again.
      const Bytes live = std::max(get(look, from::live).value_or(0), get(look, from::height).value_or(0));
      add(get(look, from::dead), live, get(look, from::step).value_or(0), get(look, from::why) != "height",
          peak_bytes(report));
    }
  }
  Findings found;
  for (const auto& [key, dead] : largest) found.push_back(describe(dead, at_oom));
  for (Finding& finding : from_graph(report, found)) found.push_back(std::move(finding));
  std::sort(found.begin(), found.end(), [](const Finding& a, const Finding& b) { return a.bytes > b.bytes; });
  if (found.size() > 5) found.resize(5);
  for (Finding& finding : found) tell_loaded(report, finding);
  return found;
}

}  // namespace vramtrack::findings
