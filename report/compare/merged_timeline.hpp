// Memory over time of many processes, added up. Keeps one series for each layer and device, whatever the number of
// processes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

/// Seconds since the Unix epoch of "2026-11-23T22:15:01.250Z"; nothing for any other text.
std::optional<double> parse_rfc3339(const std::string& text);

class MergedTimeline {
 public:
  /// `offset`: seconds by which the process started after (or before) the common origin.
  void add(const std::vector<TimelineEntry>& timeline, double offset);

  /// All series by time, counted from `start` (on the origin's clock); at most most_timeline_points in all. A process
  /// that ended keeps its last level: the sum at the end is that of the totals.
  std::vector<TimelineEntry> finish(double start) const;

 private:
  struct Point {
    double time = 0;
    std::uint32_t step = 0;
    Bytes live = 0, reserved = 0;
    bool has_reserved = false;
  };
  using Series = std::vector<Point>;

  static Series sum(const Series& a, const Series& b);
  static Series thinned(Series series, std::size_t most);

  std::map<std::pair<std::string, int>, Series> series_;  // by layer and device
};

}  // namespace vramtrack
