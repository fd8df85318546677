#include "report/compare/merged_timeline.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "report/analysis/timeline.hpp"

namespace vramtrack {

std::optional<double> parse_rfc3339(const std::string& text) {
  std::tm utc{};
  double seconds = 0;
  char zone = 0;
  const int read = std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%lf%c", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
                               &utc.tm_hour, &utc.tm_min, &seconds, &zone);
  if (read != 7 || zone != 'Z') return std::nullopt;
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  return static_cast<double>(timegm(&utc)) + seconds;
}

/// Two step functions added up: a point wherever one of them has one.
MergedTimeline::Series MergedTimeline::sum(const Series& a, const Series& b) {
  Series out;
  out.reserve(a.size() + b.size());
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    const double time = std::min(i < a.size() ? a[i].time : INFINITY, j < b.size() ? b[j].time : INFINITY);
    while (i < a.size() && a[i].time <= time) ++i;
    while (j < b.size() && b[j].time <= time) ++j;
    Point point;
    point.time = time;
    for (const Point* one : {i > 0 ? &a[i - 1] : nullptr, j > 0 ? &b[j - 1] : nullptr}) {
      if (one == nullptr) continue;
      point.step = std::max(point.step, one->step);
      point.live += one->live;
      point.reserved += one->reserved;
      point.has_reserved |= one->has_reserved;
    }
    out.push_back(point);
  }
  return out;
}

/// Of each run of neighbours the largest; the last point stays.
MergedTimeline::Series MergedTimeline::thinned(Series series, std::size_t most) {
  most = std::max<std::size_t>(most, 2);
  if (series.size() <= most) return series;
  const std::size_t factor = (series.size() + most - 2) / (most - 1);
  Series kept;
  for (std::size_t i = 0; i < series.size(); i += factor) {
    const auto begin = series.begin() + static_cast<std::ptrdiff_t>(i);
    const auto end = series.begin() + static_cast<std::ptrdiff_t>(std::min(i + factor, series.size()));
    kept.push_back(*std::max_element(begin, end, [](const Point& x, const Point& y) { return x.live < y.live; }));
  }
  if (kept.back().time != series.back().time) kept.push_back(series.back());
  return kept;
}

void MergedTimeline::add(const std::vector<TimelineEntry>& timeline, double offset) {
  std::map<std::pair<std::string, int>, Series> one;
  for (const TimelineEntry& entry : timeline) {
    one[{entry.layer, entry.device}].push_back({entry.time + offset, entry.step, entry.live_bytes,
                                                entry.reserved_bytes.value_or(0), entry.reserved_bytes.has_value()});
  }
  for (auto& [place, series] : one) {
    std::stable_sort(series.begin(), series.end(), [](const Point& a, const Point& b) { return a.time < b.time; });
    Series& all = series_[place];
    all = all.empty() ? thinned(std::move(series), most_timeline_points)
                      : thinned(sum(all, series), most_timeline_points);
  }
}

std::vector<TimelineEntry> MergedTimeline::finish(double start) const {
  std::vector<TimelineEntry> entries;
  for (const auto& [place, series] : series_) {
    for (const Point& point : thinned(series, most_timeline_points / series_.size())) {
      TimelineEntry entry;
      entry.time = point.time - start;
      entry.step = point.step;
      entry.layer = place.first;
      entry.device = place.second;
      entry.live_bytes = point.live;
      if (point.has_reserved) entry.reserved_bytes = point.reserved;
      entries.push_back(std::move(entry));
    }
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const TimelineEntry& a, const TimelineEntry& b) { return a.time < b.time; });
  return entries;
}

}  // namespace vramtrack
