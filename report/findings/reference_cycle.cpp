// Tensors that only a cycle of Python references keeps alive: freed when the collector happens to run, not before.
// The agent computed it as the collector does: unreachable from every root, every reference accounted for.
#include <algorithm>
#include <map>

#include "contract/notes.hpp"
#include "report/findings/grown.hpp"
#include "report/findings/registry.hpp"
#include "report/model/fact_fields.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::uint64_t least_tensors = 5;

/// The end of the run, also where the report shows an earlier moment because more was held then.
const HolderMoment& moment_of(const Report& report) {
  if (report.holders.moment != "look") return report.holders;
  const auto exit = std::ranges::find(report.moments, "exit", &HolderMoment::moment);
  return exit == report.moments.end() ? report.holders : *exit;
}

/// When Python frees such memory, as a sentence.
std::string freed_when(const Report& report) {
  const Json* state = note(report, trace::note_key::state);
  const bool off = state != nullptr && get(*state, fact::state::collector_off).value_or(false);
  return std::string(" Such memory is freed only when Python's garbage collector runs, which ") +
         (off ? "the program has switched off (`gc.disable()`)." : "counts objects, not GPU bytes.");
}

/// Whether a late look saw the memory of a row with a holder that the program could reach.
bool was_held_late(const Report& report, const HolderReport& row) {
  double end = 0;
  for (const SiteReport& site : report.sites)
    if (site.layer == "tensor") end = std::max(end, site.last_time);
  return std::ranges::any_of(report.moments, [&](const HolderMoment& look) {
    if (look.moment != "look" || 4 * (end - look.time) > end - row.first_time) return false;
    return std::ranges::any_of(look.rows, [&](const HolderReport& other) {
      return !other.garbage && other.kind != "cxx" && other.retained_bytes >= row.retained_bytes / 2 &&
             !other.sites.empty() && std::ranges::find(row.sites, other.sites.front()) != row.sites.end();
    });
  });
}

/// Whether a cycle became one when the program had done its work: a model that knows its trainer is no leak for that.
bool lost_at_the_end(const Report& report, const HolderReport& row) {
  return row.generations == 1 && (row.used_to_the_end || was_held_late(report, row));
}

/// Cycles of the graph of who holds whom: also those that go through C++ (`ctx`, `.grad`), which Python's collector
/// cannot free. Alike ones are told together.
Findings from_graph(const Report& report) {
  struct Alike {
    const HolderReport* largest = nullptr;
    Bytes bytes = 0;
    std::uint64_t blocks = 0, count = 0;
    bool grows = false, lost_at_the_end = true;
  };
  const HolderMoment& moment = moment_of(report);
  std::map<std::string, Alike> cycles;
  for (const HolderReport& row : moment.rows) {
    if (!row.garbage || row.cycle.empty() || row.blocks == 0) continue;  // others hold what it reaches
    const bool told_above = row.parent && moment.rows[*row.parent].garbage;
    if (told_above || grew_before_it_was_lost(moment, row)) continue;
    Alike& alike = cycles[row.variable];
    if (alike.largest == nullptr || row.retained_bytes > alike.largest->retained_bytes) alike.largest = &row;
    alike.bytes += row.retained_bytes;
    alike.blocks += row.blocks;
    alike.count += row.count;
    alike.grows = alike.grows || row.verdict == "growing";
    alike.lost_at_the_end = alike.lost_at_the_end && lost_at_the_end(report, row);
  }
  Findings found;
  for (const auto& [name, alike] : cycles) {
    const HolderReport& row = *alike.largest;
    if (alike.lost_at_the_end) continue;
    const bool many = alike.grows || alike.count >= least_tensors;
    if (alike.bytes < worth_telling && !many) continue;
    if (!many && !is_large(report, alike.bytes)) continue;
    Finding finding = make("reference-cycle", "warning", "A reference cycle keeps memory alive");
    finding.variable = name;
    finding.bytes = alike.bytes;
    finding.file = row.file;
    finding.line = row.line;
    const SiteReport* site = main_site(report, row);
    if (site != nullptr) finding.site = site->id;
    if (!finding.line && site != nullptr) point_at(finding, report, *site);
    const bool cxx = goes_through_cxx(row);
    finding.message =
        plural(alike.blocks, "block") + " of " + human_bytes(alike.bytes) +
        " can no longer be reached by the program, but objects that refer to each other still hold them: " + row.cycle +
        "." +
        (cxx ? " The cycle goes through C++, where Python's garbage collector does not see it: such memory is "
               "never freed."
             : freed_when(report));
    if (!row.known.empty()) finding.message += " It is " + row.known + ".";
    finding.fix = !row.fix.empty()
                      ? row.fix
                      : "Break the cycle: make one of the references a weakref.ref, or set it to None when done." +
                            std::string(cxx ? "" : " As a stopgap call gc.collect().");
    finding.evidence = {{"cycle", row.cycle}, {"blocks", alike.blocks}, {"cycles", alike.count}};
    found.push_back(std::move(finding));
  }
  return found;
}

}  // namespace

Findings reference_cycle(const Report& report) {
  Findings found = from_graph(report);
  if (moment_of(report).moment == "exit") return found;  // the agent sees less than the graph
  for (const Json& cycle : list_of(report, trace::note_key::cycles)) {
    namespace from = fact::cycles;
    const Bytes bytes = get(cycle, from::b).value_or(0);
    const std::uint64_t tensors = get(cycle, from::n).value_or(0);
    if (bytes < worth_telling && tensors < least_tensors) continue;
    const std::string loop = get(cycle, from::loop).value_or(""), way = get(cycle, from::way).value_or("");
    const std::string variable = get(cycle, from::v).value_or(""), file = get(cycle, from::f).value_or("");
    const int line = static_cast<int>(get(cycle, from::l).value_or(0));
    if (std::any_of(found.begin(), found.end(), [&](const Finding& one) {
          return (one.file == file && one.line == line) || one.variable == variable;
        }))
      continue;
    Finding finding = make("reference-cycle", "warning", "A reference cycle keeps tensors alive");
    if (!file.empty()) finding.file = file;
    if (line > 0) finding.line = line;
    finding.variable = get(cycle, from::v).value_or(way.empty() ? loop : way);
    finding.bytes = bytes;
    finding.message = plural(tensors, "tensor") + " of " + human_bytes(bytes) +
                      " can no longer be reached by the program, but objects that "
                      "refer to each other (" +
                      loop + ") still hold them." + freed_when(report);
    finding.fix =
        "Break the cycle: make one of the references a weakref.ref, or set it to None when done. As a stopgap call "
        "gc.collect().";
    finding.evidence = {
        {"cycle", loop}, {"held_by", way}, {"tensors", tensors}, {"class", get(cycle, from::c).value_or("")}};
    found.push_back(std::move(finding));
  }
  return found;
}

}  // namespace vramtrack::findings
