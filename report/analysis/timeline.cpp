#include "report/analysis/timeline.hpp"

#include <algorithm>

namespace vramtrack {
namespace {

/// Of each run of `factor` neighbours the largest; the last point, which is the state now, always stays.
std::vector<trace::TimelinePoint> thinned(const std::vector<trace::TimelinePoint>& points, std::size_t factor) {
  if (factor <= 1) return points;
  std::vector<trace::TimelinePoint> kept;
  for (std::size_t i = 0; i < points.size(); i += factor) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(i);
    const auto end = points.begin() + static_cast<std::ptrdiff_t>(std::min(i + factor, points.size()));
    kept.push_back(
        *std::max_element(begin, end, [](const auto& a, const auto& b) { return a.live_bytes < b.live_bytes; }));
  }
  if (!points.empty() && kept.back().time != points.back().time) kept.push_back(points.back());
  return kept;
}

/// The state now. A series' last point is the largest of its last interval, which is not what was left at its end.
trace::TimelinePoint last_point(const trace::TraceFile& trace, const trace::Account& account) {
  trace::TimelinePoint point{};
  for (const trace::Site& site : trace.sites) {
    if (site.used != 1 || site.layer != account.layer || site.device != account.device) continue;
    point.time = std::max({point.time, site.last_time, site.freed_count > 0 ? site.last_free_time : 0});
  }
  point.live_bytes = account.live_bytes;
  point.reserved_bytes = account.reserved_bytes;
  point.step = trace.header.steps;
  return point;
}

bool is_shown(const trace::Account& account) {
  return account.used == 1 && account.device >= 0 && account.kind == static_cast<std::uint8_t>(trace::Kind::all);
}

}  // namespace

std::vector<TimelineEntry> timeline(const trace::TraceFile& trace) {
  std::vector<const trace::TimelineSeries*> shown;
  std::size_t points = 0;
  for (const trace::TimelineSeries& series : trace.timelines) {
    if (series.account >= trace.accounts.size() || !is_shown(trace.accounts[series.account])) continue;
    shown.push_back(&series);
    points += series.points.size();
  }
  std::size_t factor = 1;
  while (points / factor + 3 * shown.size() > most_timeline_points) ++factor;

  std::vector<TimelineEntry> entries;
  for (const trace::TimelineSeries* series : shown) {
    const trace::Account& account = trace.accounts[series->account];
    const bool tensor = account.layer == static_cast<std::uint8_t>(trace::Layer::tensor);
    std::vector<trace::TimelinePoint> points_shown = thinned(series->points, factor);
    trace::TimelinePoint last = last_point(trace, account);
    if (!points_shown.empty()) last.time = std::max(last.time, points_shown.back().time);
    points_shown.push_back(last);
    for (const trace::TimelinePoint& point : points_shown) {
      TimelineEntry entry;
      entry.time = trace.seconds(point.time);
      entry.step = point.step;
      entry.layer = tensor ? "tensor" : "cuda";
      entry.device = account.device;
      entry.live_bytes = point.live_bytes;
      if (tensor) entry.reserved_bytes = point.reserved_bytes;
      entries.push_back(std::move(entry));
    }
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const TimelineEntry& a, const TimelineEntry& b) { return a.time < b.time; });
  return entries;
}

}  // namespace vramtrack
