// Memory that one process of a run gave to another through CUDA IPC. The giver keeps it for as long as the taker has it
// open, and sees no holder; the taker does. Together they tell one story.
#include <algorithm>

#include "report/findings/findings.hpp"
#include "report/findings/registry.hpp"
#include "report/findings/run_findings.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

Bytes opened(const Report& report) {
  Bytes bytes = 0;
  for (const Total& total : report.totals)
    if (total.kind == "ipc") bytes += total.live_bytes;
  return bytes;
}

/// What grows with no holder in this process.
bool is_unheld(const Report& report, const Finding& finding) {
  if (finding.code != "growing-site" || !finding.site) return false;
  const auto has_it = [&](const HolderMoment& moment) {  // which need not be the one that is shown
    return std::ranges::any_of(moment.rows, [&](const HolderReport& row) {
      return !row.parent && row.kind == "cxx" && row.known.empty() && row.path == text_in(finding.evidence, "holder");
    });
  };
  return has_it(report.holders) || std::ranges::any_of(report.moments, has_it);
}

Finding* what_grows(Report& report, Bytes at_least) {
  for (Finding& finding : report.findings)
    if (finding.code == "growing-site" && finding.bytes >= at_least && finding.file) return &finding;
  return nullptr;
}

std::string process(const Report& report) { return "process " + std::to_string(report.process.pid); }

}  // namespace

void join_shared_memory(std::vector<Report>& reports) {
  for (Report& giver : reports) {
    for (Finding& finding : giver.findings) {
      if (!is_unheld(giver, finding)) continue;
      for (Report& taker : reports) {
        if (&taker == &giver || taker.process.hostname != giver.process.hostname) continue;
        if (2 * opened(taker) < finding.bytes) continue;
        finding.variable = "CUDA IPC: " + process(taker);
        finding.message += " The " + process(taker) + " has " + human_bytes(opened(taker)) +
                           " of other processes' memory open through CUDA IPC, which they cannot free meanwhile.";
        finding.fix =
            "Let the receiving process drop what it was given, or copy what it keeps with `.clone()`: its own report "
            "says what holds it there.";
        finding.evidence["consumer_pid"] = taker.process.pid;
        if (Finding* const cause = what_grows(taker, finding.bytes / 2)) {
          finding.severity = "info";  // the other one is to be mended
          finding.message += " There it is `" + cause->variable.value_or("?") + "` (" +
                             place(*cause->file, cause->line.value_or(0)) + ") that keeps it.";
          cause->message += " The memory is that of " + process(giver) + ", which cannot free it meanwhile.";
          cause->evidence["producer_pid"] = giver.process.pid;
        }
        break;
      }
    }
    worst_first(giver.findings);
  }
}

}  // namespace vramtrack::findings
