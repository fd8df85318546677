// The report's time series out of the trace's.
#pragma once

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

inline constexpr std::size_t most_timeline_points = 4096;

/// Each device's series of both layers, by time, at most most_timeline_points in all; when points are merged, the
/// largest stays: no peak is lost. The last point of a series is the state at the end.
std::vector<TimelineEntry> timeline(const trace::TraceFile& trace);

}  // namespace vramtrack
