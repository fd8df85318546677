// The event history (--history) as bands for a plot: what each of the largest call sites held over time. The size of
// the result does not depend on the number of events. Runs in the tools.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

namespace trace {
class HistoryReader;
struct TraceFile;
}  // namespace trace

struct BandLimits {
  std::size_t buckets = 512;
  std::size_t sites = 40;  // for each device; the rest is one band of others
};

/// Bands of device memory, for each device: of the tensor layer where it has one, else of the cuda layer. Each
/// bucket shows the moment at which the device held most within it, so that the bands add up to a level that was
/// really reached. One pass over the events. `labels`: the report's sites, for the sums by role and phase of the tensor
/// layer.
std::vector<HistoryBands> history_bands(trace::HistoryReader& history, const trace::TraceFile& trace,
                                        std::span<const SiteReport> labels, const BandLimits& limits = {});

}  // namespace vramtrack
