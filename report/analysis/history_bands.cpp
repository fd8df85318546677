#include "report/analysis/history_bands.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "contract/history_reader.hpp"

namespace vramtrack {
namespace {

using trace::Kind;
using trace::Layer;

constexpr std::uint32_t k_none = ~0u;

using Levels = std::array<std::uint32_t, 3>;  // of a site's band, its role, its phase

/// Bands of one device while the events go by.
class Plot {
 public:
  Plot(Layer layer, std::int16_t device) : x_layer(layer), x_device(device) {}

  Layer layer() const { return x_layer; }
  std::int16_t device() const { return x_device; }

  /// Gives the site a band of its own. Returns its level, as the others do.
  std::uint32_t add_band(SiteId site) {
    x_sites.push_back({site, x_count});
    return x_count++;
  }
  std::uint32_t role(const std::string& name) { return sum(x_roles, name); }
  std::uint32_t phase(const std::string& name) { return sum(x_phases, name); }

  void start(std::size_t buckets) {
    x_levels.resize(x_count);
    x_bytes.resize(buckets * x_count);
    x_totals.resize(buckets);
    x_steps.resize(buckets);
  }

  /// `levels`: what the event is a part of; k_none: nothing.
  void record(std::size_t bucket, const Levels& levels, const trace::HistoryEvent& event) {
    if (bucket >= x_filled) fill(bucket);
    const auto change = [&](Bytes& level) {
      level = event.is_free ? level - std::min(level, event.bytes) : level + event.bytes;
    };
    change(x_total);
    for (const std::uint32_t level : levels)
      if (level != k_none) change(x_levels[level]);
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
    for (const auto& [site, level] : x_sites) out.bands.push_back({site, over_time(level)});
    for (const auto& [name, level] : x_roles) out.roles.push_back({name, over_time(level)});
    for (const auto& [name, level] : x_phases) out.phases.push_back({name, over_time(level)});
    return out;
  }

 private:
  using Sums = std::map<std::string, std::uint32_t>;

  std::uint32_t sum(Sums& sums, const std::string& name) {
    const auto [at, added] = sums.try_emplace(name, x_count);
    if (added) ++x_count;
    return at->second;
  }

  std::vector<Bytes> over_time(std::uint32_t level) const {
    std::vector<Bytes> bytes(x_totals.size());
    for (std::size_t bucket = 0; bucket < bytes.size(); ++bucket) bytes[bucket] = x_bytes[bucket * x_count + level];
    return bytes;
  }

  void keep(std::size_t bucket) {
    x_totals[bucket] = x_total;
    std::ranges::copy(x_levels, x_bytes.begin() + static_cast<std::ptrdiff_t>(bucket * x_levels.size()));
  }

  Layer x_layer;
  std::int16_t x_device;
  Bytes x_total = 0;
  std::size_t x_filled = 0;                                      // buckets begun
  std::uint32_t x_count = 0;                                     // levels
  std::vector<std::pair<SiteId, std::uint32_t>> x_sites;         // of the bands, with their levels
  Sums x_roles, x_phases;                                        // by name, with their levels
  std::vector<Bytes> x_levels;                                   // now
  std::vector<Bytes> x_bytes;                                    // [bucket][level], at the bucket's highest total
  std::vector<Bytes> x_totals;
  std::vector<std::uint32_t> x_steps;
};

/// The plots of a trace, and for each of its sites the plot and the levels that it belongs to.
struct Plots {
  std::vector<Plot> plots;
  std::vector<std::uint32_t> plot_of;
  std::vector<Levels> levels_of;
};

bool has_tensors(const trace::TraceFile& trace, std::int16_t device) {
  return std::ranges::any_of(trace.sites, [&](const trace::Site& site) {
    return site.used == 1 && site.device == device && static_cast<Layer>(site.layer) == Layer::tensor;
  });
}

Plots make_plots(const trace::TraceFile& trace, std::span<const SiteReport> labels, const BandLimits& limits) {
  Plots made;
  made.plot_of.assign(trace.sites.size(), k_none);
  made.levels_of.assign(trace.sites.size(), {k_none, k_none, k_none});
  std::vector<const SiteReport*> label_of(trace.sites.size(), nullptr);
  for (const SiteReport& label : labels) label_of[label.id] = &label;
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
    if (given[plot]++ < limits.sites) made.levels_of[i][0] = made.plots[plot].add_band(SiteId(i));
    if (labels.empty() || layer != Layer::tensor) continue;
    const SiteReport* const label = label_of[i];  // none: left out by --min-size
    made.levels_of[i][1] = made.plots[plot].role(label == nullptr || label->role.empty() ? "unknown" : label->role);
    made.levels_of[i][2] = made.plots[plot].phase(label == nullptr || label->phase.empty() ? "other" : label->phase);
  }
  return made;
}

}  // namespace

std::vector<HistoryBands> history_bands(trace::HistoryReader& history, const trace::TraceFile& trace,
                                        std::span<const SiteReport> labels, const BandLimits& limits) {
  std::vector<HistoryBands> result;
  if (history.empty() || limits.buckets == 0) return result;
  const auto [first, last] = history.time_range();
  const std::uint64_t interval = std::max<std::uint64_t>(1, (last - first) / limits.buckets + 1);
  Plots made = make_plots(trace, labels, limits);
  for (Plot& plot : made.plots) plot.start(limits.buckets);
  history.for_each_event([&, start = first](const trace::HistoryEvent& event) {
    if (event.site >= made.plot_of.size() || made.plot_of[event.site] == k_none) return;
    const std::size_t bucket = event.time <= start ? 0 : static_cast<std::size_t>((event.time - start) / interval);
    made.plots[made.plot_of[event.site]].record(std::min(bucket, limits.buckets - 1), made.levels_of[event.site],
                                                event);
  });
  for (Plot& plot : made.plots) {
    plot.fill(limits.buckets - 1);
    result.push_back(plot.result(trace.seconds(first), trace.seconds_of(interval)));
  }
  std::ranges::sort(result, {}, &HistoryBands::device);
  return result;
}

}  // namespace vramtrack
