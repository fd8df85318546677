#include "report/analysis/history_bands.hpp"

#include <algorithm>

#include "contract/history_reader.hpp"

namespace vramtrack {
namespace {

using trace::Kind;
using trace::Layer;

constexpr std::uint32_t k_none = ~0u;

/// Bands of one device while the events go by.
class Plot {
 public:
  Plot(Layer layer, std::int16_t device) : x_layer(layer), x_device(device) {}

  Layer layer() const { return x_layer; }
  std::int16_t device() const { return x_device; }

  /// Gives the site a band of its own.
  std::uint32_t add_band(std::uint32_t site) {
    x_sites.push_back(site);
    return static_cast<std::uint32_t>(x_sites.size() - 1);
  }

  void start(std::size_t buckets) {
    x_levels.resize(x_sites.size());
    x_bytes.resize(buckets * x_sites.size());
    x_totals.resize(buckets);
    x_steps.resize(buckets);
  }

  /// `band` is k_none for a site without one.
  void record(std::size_t bucket, std::uint32_t band, const trace::HistoryEvent& event) {
    if (bucket >= x_filled) fill(bucket);
    const auto change = [&](Bytes& level) {
      level = event.is_free ? level - std::min(level, event.bytes) : level + event.bytes;
    };
    change(x_total);
    if (band != k_none) change(x_levels[band]);
    x_steps[bucket] = event.step;
    if (x_total > x_totals[bucket]) keep(bucket);
  }

  /// Buckets without events hold what was there before them.
  void fill(std::size_t bucket) {
    for (; x_filled <= bucket && x_filled < x_totals.size(); ++x_filled) {
      keep(x_filled);
      x_steps[x_filled] = x_filled == 0 ? 0 : x_steps[x_filled - 1];
    }
  }

  HistoryBands result(double start, double interval) const {
    HistoryBands out;
    out.layer = x_layer == Layer::tensor ? "tensor" : "cuda";
    out.device = x_device;
    out.start = start;
    out.interval = interval;
    out.steps = x_steps;
    out.total_bytes = x_totals;
    for (std::size_t band = 0; band < x_sites.size(); ++band) {
      HistoryBand one{x_sites[band], std::vector<Bytes>(x_totals.size())};
      for (std::size_t bucket = 0; bucket < x_totals.size(); ++bucket) {
        one.bytes[bucket] = x_bytes[bucket * x_sites.size() + band];
      }
      out.bands.push_back(std::move(one));
    }
    return out;
  }

 private:
  void keep(std::size_t bucket) {
    x_totals[bucket] = x_total;
    std::ranges::copy(x_levels, x_bytes.begin() + static_cast<std::ptrdiff_t>(bucket * x_levels.size()));
  }

  Layer x_layer;
  std::int16_t x_device;
  Bytes x_total = 0;
  std::size_t x_filled = 0;            // buckets begun
  std::vector<std::uint32_t> x_sites;  // of the bands
  std::vector<Bytes> x_levels;         // of each band, now
  std::vector<Bytes> x_bytes;          // [bucket][band], at the bucket's highest total
  std::vector<Bytes> x_totals;
  std::vector<std::uint32_t> x_steps;
};

/// The plots of a trace, and for each of its sites the plot and the band that it belongs to.
struct Plots {
  std::vector<Plot> plots;
  std::vector<std::uint32_t> plot_of, band_of;
};

bool has_tensors(const trace::TraceFile& trace, std::int16_t device) {
  return std::ranges::any_of(trace.sites, [&](const trace::Site& site) {
    return site.used == 1 && site.device == device && static_cast<Layer>(site.layer) == Layer::tensor;
  });
}

Plots make_plots(const trace::TraceFile& trace, const BandLimits& limits) {
  Plots made;
  made.plot_of.assign(trace.sites.size(), k_none);
  made.band_of.assign(trace.sites.size(), k_none);
  std::vector<std::uint32_t> by_size;
  for (std::uint32_t i = 0; i < trace.sites.size(); ++i) {
    const trace::Site& site = trace.sites[i];
    if (site.used == 1 && site.device >= 0 && is_device_memory(static_cast<Kind>(site.kind))) by_size.push_back(i);
  }
  std::ranges::stable_sort(by_size, [&](std::uint32_t a, std::uint32_t b) {
    return trace.sites[a].own_peak_bytes > trace.sites[b].own_peak_bytes;
  });
  std::vector<std::size_t> given;
  for (const std::uint32_t i : by_size) {
    const trace::Site& site = trace.sites[i];
    const auto layer = static_cast<Layer>(site.layer);
    if (layer != Layer::tensor && has_tensors(trace, site.device)) continue;
    std::size_t plot = 0;
    while (plot < made.plots.size() && made.plots[plot].device() != site.device) ++plot;
    if (plot == made.plots.size()) {
      made.plots.emplace_back(layer, site.device);
      given.push_back(0);
    }
    made.plot_of[i] = static_cast<std::uint32_t>(plot);
    if (given[plot]++ < limits.sites) made.band_of[i] = made.plots[plot].add_band(i);
  }
  return made;
}

}  // namespace

std::vector<HistoryBands> history_bands(trace::HistoryReader& history, const trace::TraceFile& trace,
                                        const BandLimits& limits) {
  std::vector<HistoryBands> result;
  if (history.empty() || limits.buckets == 0) return result;
  const auto [first, last] = history.time_range();
  const std::uint64_t interval = std::max<std::uint64_t>(1, (last - first) / limits.buckets + 1);
  Plots made = make_plots(trace, limits);
  for (Plot& plot : made.plots) plot.start(limits.buckets);
  history.for_each_event([&, start = first](const trace::HistoryEvent& event) {
    if (event.site >= made.plot_of.size() || made.plot_of[event.site] == k_none) return;
    const std::size_t bucket = event.time <= start ? 0 : static_cast<std::size_t>((event.time - start) / interval);
    made.plots[made.plot_of[event.site]].record(std::min(bucket, limits.buckets - 1), made.band_of[event.site], event);
  });
  for (Plot& plot : made.plots) {
    plot.fill(limits.buckets - 1);
    result.push_back(plot.result(trace.seconds(first), trace.seconds_of(interval)));
  }
  std::ranges::sort(result, {}, &HistoryBands::device);
  return result;
}

}  // namespace vramtrack
