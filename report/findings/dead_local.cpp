// A local that still holds memory near the peak (or at OOM) although no later instruction reads it.
// The agent promises: the bytecode never reads it again on any path, nothing else refers to the object, no view and no
// autograd node shares its memory. So `del` frees exactly these bytes.
#include <algorithm>
#include <map>
#include <tuple>

#include "report/findings/registry.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr Bytes least_bytes = 1 << 20;

struct Dead {
  Json entry;
  Bytes live = 0;
  std::uint32_t step = 0;
};

Finding describe(const Dead& dead, bool at_oom) {
  const auto variable = value<std::string>(dead.entry, "v", "");
  const auto file = value<std::string>(dead.entry, "f", "");
  const auto function = value<std::string>(dead.entry, "fn", "");
  const auto bytes = value<Bytes>(dead.entry, "b", 0);
  const int line = value<int>(dead.entry, "l", 0), running = value<int>(dead.entry, "at", 0);
  const bool module = value<bool>(dead.entry, "module", false);
  Finding finding = make("dead-local", "warning", "`" + variable + "` holds memory that nothing reads again");
  finding.file = file;
  if (line > 0) finding.line = line;
  finding.variable = variable;
  finding.bytes = bytes;
  finding.message = "When line " + std::to_string(running) + " ran" + (at_oom ? " out of memory" : "") + ", `" +
                    variable + "` (" +
                    (module ? "a global of " + place(file, 0) : "a local of " + function + ", " + place(file, line)) +
                    ") still held " + human_bytes(bytes) + " of the " + human_bytes(dead.live) + " in use, and " +
                    (module ? "this file does not read it again" : "nothing reads it after that line") +
                    ". A variable lives until its function ends, also when it was set in a loop.";
  finding.fix = "Add `del " + variable + "` before line " + std::to_string(running) +
                ", or do that part in a function of its own.";
  finding.evidence = {{"running_line", running},
                      {"function", function},
                      {"live_bytes_then", dead.live},
                      {"share", dead.live == 0 ? 0.0 : static_cast<double>(bytes) / static_cast<double>(dead.live)},
                      {"tensors", value<std::uint64_t>(dead.entry, "c", 1)},
                      {"step", dead.step}};
  return finding;
}

/// What a variable alone keeps, whatever it is, as the graph of who holds whom shows it. `known`: what is told already.
Findings from_graph(const Report& report, const Findings& known) {
  Findings found;
  const std::string_view wanted = report.at == "oom" ? "out_of_memory" : "look";
  for (const HolderMoment& moment : report.moments) {
    if (moment.moment != wanted || (report.at != "oom" && moment.held_bytes < peak_bytes(report) / 10 * 7)) continue;
    for (const HolderReport& row : moment.rows) {
      if (row.idle_at == 0 || row.retained_bytes < least_bytes || row.retained_bytes < moment.held_bytes / 10) continue;
      if (std::any_of(known.begin(), known.end(), [&](const Finding& finding) {
            return finding.variable == row.variable && finding.file == row.file;
          }))
        continue;
      Dead dead;
      dead.entry = {{"v", row.variable}, {"b", row.retained_bytes}, {"c", row.blocks}, {"fn", row.idle_in},
                    {"f", row.file.value_or("")}, {"l", row.line.value_or(0)}, {"at", row.idle_at},
                    {"module", row.idle_in.empty()}};
      dead.live = moment.held_bytes;
      dead.step = moment.step;
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

}  // namespace

Findings dead_local(const Report& report) {
  std::map<std::tuple<std::string, std::string, std::string>, Dead> largest;
  const auto add = [&](const Json& moment, Bytes peak) {
    if (!moment.is_object() || !moment.contains("dead") || !moment["dead"].is_array()) return;
    // A look runs a moment after the height that asked for it, when temporaries may be gone again.
    const Bytes live = std::max(value<Bytes>(moment, "live", 0), value<Bytes>(moment, "height", 0));
    const bool at_peak = live >= peak / 10 * 7;
    // A look at a step tells of the peaks of all later ones, too, where the variable stays as it is.
    const bool in_training = value<std::string>(moment, "why", "") != "height";
    for (const Json& entry : moment["dead"]) {
      const auto bytes = value<Bytes>(entry, "b", 0);
      const bool stays = in_training && value<bool>(entry, "stays", false) && bytes >= peak / 10;
      if (bytes < least_bytes || bytes < live / 10 || !(at_peak || stays)) continue;
      Dead& known = largest[{value<std::string>(entry, "f", ""), value<std::string>(entry, "fn", ""),
                             value<std::string>(entry, "v", "")}];
      if (known.entry.is_null() || value<Bytes>(known.entry, "b", 0) < bytes)
        known = {entry, live, value<std::uint32_t>(moment, "step", 0)};
    }
  };
  const bool at_oom = report.at == "oom";
  if (at_oom) {
    if (const Json* moment = note(report, "dead_locals")) add(*moment, 0);
  } else if (const Json* looks = note(report, "looks[]"); looks != nullptr && looks->is_array()) {
    for (const Json& look : *looks) add(look, peak_bytes(report));
  }
  Findings found;
  for (const auto& [key, dead] : largest) found.push_back(describe(dead, at_oom));
  for (Finding& finding : from_graph(report, found)) found.push_back(std::move(finding));
  std::sort(found.begin(), found.end(), [](const Finding& a, const Finding& b) { return a.bytes > b.bytes; });
  if (found.size() > 5) found.resize(5);
  return found;
}

}  // namespace vramtrack::findings
