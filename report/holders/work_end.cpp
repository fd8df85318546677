#include "report/holders/work_end.hpp"

#include <algorithm>
#include <limits>

namespace vramtrack::holders {
namespace {

/// Whether a site's outermost Python function was called by no module and no thread of Python's: by the interpreter at
/// the end of the process (`atexit`), say.
bool is_called_by_no_module(const Report& report, const SiteReport& site) {
  bool python = false;
  for (const FrameId id : site.stack) {
    const Frame& frame = report.frames[id];
    if (frame.kind != "python") continue;
    if (frame.function == "<module>" || frame.function.ends_with("_bootstrap")) return false;
    python = true;
  }
  return python;
}

}  // namespace

double work_ended(const Report& report) {
  constexpr double never = std::numeric_limits<double>::infinity();
  double last = 0, begin = never;
  for (const SiteReport& site : report.sites)
    if (site.layer == "tensor" && !is_called_by_no_module(report, site)) last = std::max(last, site.last_time);
  std::uint64_t all = 0, behind = 0;  // blocks
  for (const SiteReport& site : report.sites) {
    if (site.layer != "tensor") continue;
    all += site.allocated_count;
    if (site.first_time <= last) continue;
    behind += site.allocated_count;
    begin = std::min(begin, site.first_time);
  }
  if (2 * behind > all) return never;
  return begin;
}

}  // namespace vramtrack::holders
