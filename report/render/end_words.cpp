#include "report/render/end_words.hpp"
#include "report/model/sites.hpp"

namespace vramtrack::render {
namespace {

bool was_killed(const Process& process) { return process.end.kind == "killed" || process.end.kind == "signal"; }

}  // namespace

std::string none_found(const Report& report) {
  if (!has_data(report)) return "Nothing was recorded: this report holds no data";
  const Process& process = report.process;
  if (report.at == "oom") return "No problem found";
  if (process.end.kind == "running" || report.at == "live") return "No problem found so far";
  const bool not_seen = process.end.kind == "unknown" && process.pid != 0 && process.ended_at.empty();
  return was_killed(process) || not_seen ? "No problem found, as far as it could be looked at before it was killed"
                                         : "No problem found";
}

std::string moment_words(const Report& report) {
  if (report.at == "peak") return "at the peak";
  if (report.at == "oom") return "when memory ran out";
  if (report.at == "live" || report.process.end.kind == "running") return "now";
  return was_killed(report.process) ? "when it was killed" : "at exit";
}

}  // namespace vramtrack::render
