#include "report/analysis/history_bands.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "contract/history_reader.hpp"

namespace vramtrack {
namespace {

using trace::Kind;
using trace::Layer;

constexpr std::uint32_t none = ~0u;

using Levels = std::array<std::uint32_t, 3>;  // of a site's band, its role, its phase

/// Bands of one device while the events go by.
class Plot {
 public:
  Plot(Layer layer, std::int16_t device) : layer_(layer), device_(device) {}

  Layer layer() const { return layer_; }
  std::int16_t device() const { return device_; }

  /// Gives the site a band of its own. Returns its level, as the others do.
  std::uint32_t add_band(SiteId site) {
    sites_.push_back({site, count_});
    return count_++;
  }
  std::uint32_t role(const std::string& name) { return sum(roles_, name); }
  std::uint32_t phase(const std::string& name) { return sum(phases_, name); }

  void start(std::size_t buckets) {
    levels_.resize(count_);
    bytes_.resize(buckets * count_);
    totals_.resize(buckets);
    steps_.resize(buckets);
  }

  /// `levels`: what the event is a part of; none: nothing.
  void record(std::size_t bucket, const Levels& levels, const trace::HistoryEvent& event) {
    if (bucket >= filled_) fill(bucket);
    const auto change = [&](Bytes& level) {
      level = event.is_free ? level - std::min(level, event.bytes) : level + event.bytes;
    };
    change(total_);
    for (const std::uint32_t level : levels)
      if (level != none) change(levels_[level]);
    steps_[bucket] = event.step;
    if (total_ > totals_[bucket]) keep(bucket);
  }

  /// Buckets without events hold what was there before them.
  void fill(std::size_t bucket) {
    for (; filled_ <= bucket && filled_ < totals_.size(); ++filled_) {
      keep(filled_);
      steps_[filled_] = filled_ == 0 ? 0 : steps_[filled_ - 1];
    }
  }

  HistoryBands result(double start, double interval) const {
    HistoryBands out;
    out.layer = layer_ == Layer::tensor ? "tensor" : "cuda";
    out.device = device_;
    out.start = start;
    out.interval = interval;
    out.steps = steps_;
    out.total_bytes = totals_;
    for (const auto& [site, level] : sites_) out.bands.push_back({site, over_time(level)});
    for (const auto& [name, level] : roles_) out.roles.push_back({name, over_time(level)});
    for (const auto& [name, level] : phases_) out.phases.push_back({name, over_time(level)});
    return out;
  }

 private:
  using Sums = std::map<std::string, std::uint32_t>;

  std::uint32_t sum(Sums& sums, const std::string& name) {
    const auto [at, added] = sums.try_emplace(name, count_);
    if (added) ++count_;
    return at->second;
  }

  std::vector<Bytes> over_time(std::uint32_t level) const {
    std::vector<Bytes> bytes(totals_.size());
    for (std::size_t bucket = 0; bucket < bytes.size(); ++bucket) bytes[bucket] = bytes_[bucket * count_ + level];
    return bytes;
  }

  void keep(std::size_t bucket) {
    totals_[bucket] = total_;
    std::ranges::copy(levels_, bytes_.begin() + static_cast<std::ptrdiff_t>(bucket * levels_.size()));
  }

  Layer layer_;
  std::int16_t device_;
  Bytes total_ = 0;
  std::size_t filled_ = 0;                               // buckets begun
  std::uint32_t count_ = 0;                              // levels
  std::vector<std::pair<SiteId, std::uint32_t>> sites_;  // of the bands, with their levels
  Sums roles_, phases_;                                  // by name, with their levels
  std::vector<Bytes> levels_;                            // now
  std::vector<Bytes> bytes_;                             // [bucket][level], at the bucket's highest total
  std::vector<Bytes> totals_;
  std::vector<std::uint32_t> steps_;
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
  made.plot_of.assign(trace.sites.size(), none);
  made.levels_of.assign(trace.sites.size(), {none, none, none});
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
    if (event.site >= made.plot_of.size() || made.plot_of[event.site] == none) return;
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
