#include "report/findings/oom_step.hpp"

#include <algorithm>
#include <limits>

#include "report/model/sites.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::uint32_t fewest_steps = 4;
constexpr double larger = 1.5;  // times

bool is_much_larger(Bytes bytes, Bytes than) {
  return static_cast<double>(bytes) >= larger * static_cast<double>(than);
}

/// The first block since a time that is much larger than those that its site made before: of what a step is given, not
/// of what it computes from that.
void find_input(const Report& report, const OomReport& oom, double since, LargerStep& step) {
  double first = std::numeric_limits<double>::infinity();
  for (const SiteReport& site : report.sites) {
    if (site.layer != oom.layer || site.device != oom.device || site.phase == "backward" || site.phase == "optimizer")
      continue;
    if (site.live_count == 0 || site.last_time < since || site.last_time >= first) continue;
    const std::uint64_t others = site.allocated_count - std::min(site.allocated_count, site.live_count);
    if (others < fewest_steps) continue;
    const Bytes now = site.live_bytes / site.live_count, before = (site.allocated_bytes - site.live_bytes) / others;
    if (!is_much_larger(now, before)) continue;
    first = site.last_time;
    step.input = &site;
    step.input_bytes = now;
    step.usual_bytes = before;
  }
}

}  // namespace

std::optional<LargerStep> larger_step(const Report& report, const OomReport& oom) {
  if (report.at != "oom" || oom.layer != "tensor" || report.steps.count < fewest_steps) return std::nullopt;
  LargerStep step;
  double since = 0;  // the last moment of the steps before
  for (const TimelineEntry& point : report.timeline) {
    if (point.device != oom.device || point.layer != oom.layer || point.step >= report.steps.count) continue;
    step.before = std::max(step.before, point.live_bytes);
    since = std::max(since, point.time);
  }
  if (step.before == 0 || !is_much_larger(oom.live_bytes + oom.requested_bytes, step.before)) return std::nullopt;
  find_input(report, oom, since, step);
  return step;
}

}  // namespace vramtrack::findings
