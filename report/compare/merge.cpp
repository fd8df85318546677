#include "report/compare/merge.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>
#include <tuple>
#include <unordered_map>

#include "report/compare/device_numbers.hpp"
#include "report/compare/merged_names.hpp"
#include "report/compare/merged_timeline.hpp"
#include "report/compare/rank_statistics.hpp"
#include "report/findings/findings.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack {
namespace {

constexpr Bytes least_difference = 64 * 1024;  // smaller ones are never worth a word
constexpr std::size_t most_notes = 50, most_ooms = 1000;
constexpr std::size_t most_oom_sites = 200'000;  // of all events together; those beyond keep their sums only

using FrameKey = std::tuple<std::string, std::string, std::string, std::string, int, bool>;

/// A stack in the merged report's frames; `forward` holds the forward stack of a backward allocation.
struct PlaceKey {
  std::string layer, kind, owner;
  bool backward = false;
  std::vector<FrameId> stack, forward;
  auto operator<=>(const PlaceKey&) const = default;
};

struct Place {
  std::map<int, std::size_t> site_by_device;            // index into the merged sites
  std::map<std::size_t, std::pair<Bytes, Bytes>> sums;  // by rank: live, peak
};

/// The verdict that matters most to someone who looks at many ranks at once.
int weight(const std::string& verdict) {
  const char* const order[] = {"one-off", "cache", "recent", "steady", "growing"};
  for (int i = 0; i < 5; ++i) {
    if (verdict == order[i]) return i;
  }
  return -1;
}

std::string rank_name(const Process& process) {
  if (process.rank) return std::to_string(*process.rank);
  return "pid " + std::to_string(process.pid) + (process.hostname.empty() ? "" : " on " + process.hostname);
}

}  // namespace

struct Merger::State {
  Report merged;
  std::map<FrameKey, FrameId> frames;
  std::map<PlaceKey, Place> places;
  std::vector<Bytes> largest_share;     // by merged site: of the process that its verdict comes from
  std::vector<const Place*> places_of;  // by merged site: one place has a site on each device
  std::map<std::string, std::size_t> rank_by_name;
  std::map<std::tuple<std::string, int, std::string>, Total> totals;
  std::map<std::pair<std::string, int>, std::pair<Bytes, std::optional<Bytes>>> gpus;  // host, device: total, used
  std::map<int, LedgerEntry> ledger;
  std::set<std::string> notes;
  MergedTimeline timeline;
  MergedNames names;
  DeviceNumbers device_numbers;
  std::size_t oom_sites = 0;     // entries in the events' lists so far
  std::optional<double> origin;  // when the first process began, since the Unix epoch
  double offset = 0;             // of the process that is being added, from the origin
  double start = 0, end = 0;     // of all, from the origin

  FrameId frame(const Frame& frame);
  std::vector<FrameId> stack(const Report& report, const std::vector<FrameId>& ids);
  void add_process(const Report& report);
  void add_environment(const Environment& environment);
  void add_totals(const Report& report);
  void add_ledger(const Report& report);
  void add_ooms(const Report& report, std::size_t rank, const std::vector<SiteId>& sites);
  void add_contexts(const Report& report, std::size_t rank);
  std::vector<SiteId> add_sites(const Report& report, std::size_t rank);
  void add_findings(const Report& report, std::size_t rank, const std::vector<SiteId>& sites);
  void add_losses(const Report& report);
  void set_clock(const Process& process);
  void count_from_start();
  void sort_sites();
  void finish_places();
  void find_outlier();
  std::string describe(const RankOutlier& outlier) const;
};

FrameId Merger::State::frame(const Frame& frame) {
  const auto [at, fresh] =
      frames.emplace(FrameKey{frame.kind, frame.function, frame.file, frame.module, frame.line, frame.inlined},
                     FrameId(merged.frames.size()));
  if (fresh) merged.frames.push_back(frame);
  return at->second;
}

std::vector<FrameId> Merger::State::stack(const Report& report, const std::vector<FrameId>& ids) {
  std::vector<FrameId> mapped;
  for (const FrameId id : ids) {
    if (id < report.frames.size()) mapped.push_back(frame(report.frames[id]));
  }
  return mapped;
}

void Merger::State::add_process(const Report& report) {
  Process& all = merged.process;
  const Process& process = report.process;
  const bool first = merged.ranks.members.size() == 1;
  if (first) {
    all = process;
    all.pid = all.ppid = 0;
    all.rank.reset();
    all.local_rank.reset();
    all.forked_from.reset();
    merged.at = report.at;
  } else {
    if (!process.started_at.empty() && process.started_at < all.started_at) all.started_at = process.started_at;
    all.ended_at = std::max(all.ended_at, process.ended_at);
    if (all.hostname != process.hostname) all.hostname.clear();
    if (process.world_size) all.world_size = std::max(all.world_size.value_or(0), *process.world_size);
    const bool failed = process.end.kind != "exit" || process.end.code.value_or(0) != 0;
    if (failed && all.end.kind == "exit" && all.end.code.value_or(0) == 0) all.end = process.end;
  }
  merged.steps.count = std::max(merged.steps.count, report.steps.count);
  if (report.steps.source != "none") merged.steps.source = report.steps.source;
}

/// What was alive at an out-of-memory event was alive in its process: the rank is named, and nothing is added up.
void Merger::State::add_ooms(const Report& report, std::size_t rank, const std::vector<SiteId>& sites) {
  std::unordered_map<SiteId, SiteId> merged_id;
  for (std::size_t i = 0; i < sites.size(); ++i) merged_id[report.sites[i].id] = sites[i];
  for (OomReport oom : report.ooms) {
    if (merged.ooms.size() >= most_ooms) break;
    oom.n = static_cast<std::uint32_t>(merged.ooms.size() + 1);
    oom.rank = merged.ranks.names[rank];
    oom.holders.clear();  // of one process, with its sites
    oom.stack = stack(report, oom.stack);
    oom.time += offset;
    std::map<SiteId, SiteAmount> amounts;  // several sites of a report can be one place of the job
    for (const SiteAmount& amount : oom.sites) {
      const auto known = merged_id.find(amount.site);
      if (known == merged_id.end()) continue;
      SiteAmount& all = amounts[known->second];
      all.site = known->second;
      all.live_bytes += amount.live_bytes;
      all.live_count += amount.live_count;
    }
    oom.sites.clear();
    if (oom_sites + amounts.size() <= most_oom_sites) {
      for (const auto& [id, amount] : amounts) oom.sites.push_back(amount);
      std::stable_sort(oom.sites.begin(), oom.sites.end(),
                       [](const SiteAmount& a, const SiteAmount& b) { return a.live_bytes > b.live_bytes; });
      oom_sites += oom.sites.size();
    }
    merged.ooms.push_back(std::move(oom));
  }
}

void Merger::State::add_contexts(const Report& report, std::size_t rank) {
  for (ContextReport context : report.contexts) {
    context.rank = merged.ranks.names[rank];
    context.stack = stack(report, context.stack);
    context.time += offset;
    if (context.ended_time) *context.ended_time += offset;
    merged.contexts.push_back(std::move(context));
  }
}

void Merger::State::add_environment(const Environment& environment) {
  Environment& all = merged.environment;
  if (merged.ranks.members.size() == 1) {
    all = environment;
    return;
  }
  for (const Device& device : environment.devices) {
    const auto same = [&](const Device& known) { return known.index == device.index; };
    if (std::none_of(all.devices.begin(), all.devices.end(), same)) all.devices.push_back(device);
  }
}

void Merger::State::add_totals(const Report& report) {
  for (const Total& total : report.totals) {
    const auto [at, fresh] = totals.try_emplace({total.layer, total.device, total.kind}, total);
    Total& all = at->second;
    if (fresh) {
      all.peak_at_time += offset;
      continue;
    }
    all.live_bytes += total.live_bytes;
    all.live_count += total.live_count;
    all.peak_bytes += total.peak_bytes;
    all.allocated_bytes += total.allocated_bytes;
    all.allocated_count += total.allocated_count;
    all.freed_bytes += total.freed_bytes;
    all.freed_count += total.freed_count;
    all.peak_at_time = std::max(all.peak_at_time, total.peak_at_time + offset);
    all.peak_at_step = std::max(all.peak_at_step, total.peak_at_step);
  }
}

/// What the driver reports is of a GPU, not of a process: processes that share one must not add it up.
void Merger::State::add_ledger(const Report& report) {
  for (const LedgerEntry& entry : report.ledger) {
    LedgerEntry& all = ledger[entry.device];
    all.device = entry.device;
    auto& [total, used] = gpus[{report.process.hostname, entry.device}];
    total = std::max(total, entry.total_bytes);
    if (entry.driver_used_bytes) used = std::max(used.value_or(0), *entry.driver_used_bytes);
    all.tensors_live_bytes += entry.tensors_live_bytes;
    all.cached_bytes += entry.cached_bytes;
    all.managed_bytes += entry.managed_bytes;
    all.largest_free_cached_block_bytes =
        std::max(all.largest_free_cached_block_bytes, entry.largest_free_cached_block_bytes);
    for (const Owner& owner : entry.owners) {
      auto at = std::ranges::find(all.owners, owner.owner, &Owner::owner);
      if (at == all.owners.end()) at = all.owners.insert(at, {owner.owner, 0});
      at->bytes += owner.bytes;
    }
  }
}

/// Returns the merged site of each of the report's sites, by position.
std::vector<SiteId> Merger::State::add_sites(const Report& report, std::size_t rank) {
  std::vector<SiteId> merged_ids;
  std::vector<SiteReport>& sites = merged.sites;
  for (const SiteReport& site : report.sites) {
    PlaceKey key{site.layer, site.kind, site.owner, site.backward_of.has_value(), stack(report, site.stack), {}};
    if (site.backward_of) key.forward = stack(report, *site.backward_of);
    Place& place = places[key];
    auto& [live, peak] = place.sums[rank];
    live += site.live_bytes;
    peak += site.peak_bytes;
    const auto [at, fresh] = place.site_by_device.emplace(site.device, sites.size());
    merged_ids.push_back(SiteId(at->second));
    if (fresh) {
      SiteReport added = site;
      added.id = SiteId(at->second);
      added.stack = key.stack;
      if (site.backward_of) added.backward_of = key.forward;
      added.first_time += offset;
      added.last_time += offset;
      added.at_peak_bytes = at_peak(site);
      sites.push_back(std::move(added));
      largest_share.push_back(site.live_bytes);
      places_of.push_back(&place);
      continue;
    }
    SiteReport& all = sites[at->second];
    all.live_bytes += site.live_bytes;
    all.live_count += site.live_count;
    all.peak_bytes += site.peak_bytes;
    all.at_peak_bytes = *all.at_peak_bytes + at_peak(site);
    if (site.at_peak_count) all.at_peak_count = all.at_peak_count.value_or(0) + *site.at_peak_count;
    all.allocated_bytes += site.allocated_bytes;
    all.allocated_count += site.allocated_count;
    all.largest_bytes = std::max(all.largest_bytes, site.largest_bytes);
    all.first_time = std::min(all.first_time, site.first_time + offset);
    all.last_time = std::max(all.last_time, site.last_time + offset);
    all.growth.bytes_per_second += site.growth.bytes_per_second;
    if (site.growth.bytes_per_step) {
      all.growth.bytes_per_step = all.growth.bytes_per_step.value_or(0) + *site.growth.bytes_per_step;
    }
    all.growth.steps_spanned = std::max(all.growth.steps_spanned, site.growth.steps_spanned);
    Bytes& share = largest_share[at->second];
    if (std::pair(weight(site.verdict), site.live_bytes) > std::pair(weight(all.verdict), share)) {
      all.verdict = site.verdict;
      all.evidence = "rank " + merged.ranks.names[rank] + ": " + site.evidence;
      share = site.live_bytes;
    }
  }
  return merged_ids;
}

/// The same finding of many ranks is one finding; its evidence says in which ranks, and holds the worst one's numbers.
void Merger::State::add_findings(const Report& report, std::size_t rank, const std::vector<SiteId>& sites) {
  for (Finding finding : report.findings) {
    if (finding.site) {
      const auto at = std::find_if(report.sites.begin(), report.sites.end(),
                                   [&](const SiteReport& site) { return site.id == *finding.site; });
      finding.site = at == report.sites.end()
                         ? std::nullopt
                         : std::optional(sites[static_cast<std::size_t>(at - report.sites.begin())]);
    }
    if (!finding.evidence.is_object()) finding.evidence = Json{{"value", finding.evidence}};
    const auto place = [&](const Finding& of) { return of.site ? places_of[*of.site] : nullptr; };
    const auto same = [&](const Finding& known) {
      return std::tie(known.code, known.file, known.line, known.variable) ==
                 std::tie(finding.code, finding.file, finding.line, finding.variable) &&
             place(known) == place(finding);
    };
    std::vector<Finding>& all = merged.findings;
    const auto at = std::find_if(all.begin(), all.end(), same);
    if (at == all.end()) {
      finding.evidence["ranks"] = Json::array({merged.ranks.names[rank]});
      all.push_back(std::move(finding));
      continue;
    }
    Json named = at->evidence["ranks"];
    if (std::find(named.begin(), named.end(), Json(merged.ranks.names[rank])) == named.end()) {
      named.push_back(merged.ranks.names[rank]);
    }
    if (finding.bytes > at->bytes) *at = std::move(finding);
    at->evidence["ranks"] = std::move(named);
  }
}

void Merger::State::add_losses(const Report& report) {
  LossReport& all = merged.losses;
  all.dropped_events += report.losses.dropped_events;
  all.unresolved_frames += report.losses.unresolved_frames;
  all.unknown_frees += report.losses.unknown_frees;
  all.torn_records += report.losses.torn_records;
  for (const std::string& note : report.losses.notes) {
    if (notes.size() < most_notes) notes.insert(note);
  }
}

/// Each process counts from its own start; together they count from the first one's.
void Merger::State::set_clock(const Process& process) {
  const std::optional<double> began = parse_rfc3339(process.started_at);
  if (!origin) origin = began;
  offset = began && origin ? *began - *origin : 0;
  const bool first = merged.ranks.members.size() == 1;
  start = first ? offset : std::min(start, offset);
  end = first ? offset + process.duration : std::max(end, offset + process.duration);
}

void Merger::State::count_from_start() {
  merged.process.duration = end - start;
  for (Total& total : merged.totals) total.peak_at_time -= start;
  for (OomReport& oom : merged.ooms) oom.time -= start;
  for (ContextReport& context : merged.contexts) {
    context.time -= start;
    if (context.ended_time) *context.ended_time -= start;
  }
  for (SiteReport& site : merged.sites) {
    site.first_time -= start;
    site.last_time -= start;
  }
  merged.timeline = timeline.finish(start);
  names.finish(merged, start);
}

Merger::Merger() : state_(std::make_unique<State>()) {}
Merger::~Merger() = default;

std::size_t Merger::size() const { return state_->merged.ranks.members.size(); }

void Merger::add(Report report, const std::string& input) {
  State& state = *state_;
  state.device_numbers.apply(report);
  Report& merged = state.merged;
  const auto [at, fresh] = state.rank_by_name.emplace(rank_name(report.process), merged.ranks.names.size());
  const std::size_t rank = at->second;
  if (fresh) merged.ranks.names.push_back(at->first);
  merged.ranks.members.push_back({.rank = report.process.rank,
                                  .local_rank = report.process.local_rank,
                                  .pid = report.process.pid,
                                  .hostname = report.process.hostname,
                                  .input = input,
                                  .at = report.at,
                                  .started_at = report.process.started_at,
                                  .duration = report.process.duration,
                                  .end = report.process.end,
                                  .findings = report.findings.size(),
                                  .ooms = report.ooms.size(),
                                  .totals = report.totals});
  state.set_clock(report.process);
  state.add_process(report);
  state.add_environment(report.environment);
  state.add_totals(report);
  state.add_ledger(report);
  const std::vector<SiteId> sites = state.add_sites(report, rank);
  state.add_ooms(report, rank, sites);
  state.add_contexts(report, rank);
  state.add_findings(report, rank, sites);
  state.add_losses(report);
  state.timeline.add(report.timeline, state.offset);
  state.names.add(report, merged.ranks.names[rank], state.offset);
  for (const auto& [module, build_id] : report.build_ids) merged.build_ids.emplace(module, build_id);
}

/// The largest first, as in every report; ids stay, since findings and places name them.
void Merger::State::sort_sites() {
  std::stable_sort(merged.sites.begin(), merged.sites.end(), [](const SiteReport& a, const SiteReport& b) {
    return std::tie(b.live_bytes, a.stack) < std::tie(a.live_bytes, b.stack);
  });
}

void Merger::State::finish_places() {
  Ranks& ranks = merged.ranks;
  for (auto& [key, place] : places) {
    RankSite row;
    row.layer = key.layer;
    row.kind = key.kind;
    row.owner = key.owner;
    for (const auto& [device, site] : place.site_by_device) row.sites.emplace_back(site);
    // A rank without the site holds nothing there.
    std::vector<Bytes> live(ranks.names.size(), 0), peak(ranks.names.size(), 0);
    for (const auto& [rank, sums] : place.sums) std::tie(live[rank], peak[rank]) = sums;
    row.live_bytes = spread_of(std::move(live), ranks.names);
    row.peak_bytes = spread_of(std::move(peak), ranks.names);
    ranks.places.push_back(std::move(row));
  }
  const auto width = [](const Spread& spread) { return spread.max - spread.min; };
  std::ranges::stable_sort(ranks.places, std::greater(), [&](const RankSite& place) {
    return std::pair(width(place.live_bytes), width(place.peak_bytes));
  });
}

/// The tensor layer speaks first. What PyTorch takes from CUDA is left out where tensors are known: a cached segment
/// more or less is no difference between ranks.
void Merger::State::find_outlier() {
  Ranks& ranks = merged.ranks;
  if (ranks.names.empty()) return;
  const bool tensors_known =
      std::ranges::any_of(ranks.places, [](const RankSite& place) { return place.layer == "tensor"; });
  const auto is_cache = [&](const RankSite& place) {
    return tensors_known && place.layer == "cuda" && place.owner == "torch" && place.kind != "host_pinned";
  };
  for (const auto& [measure, spread] :
       {std::pair("live_bytes", &RankSite::live_bytes), std::pair("peak_bytes", &RankSite::peak_bytes)}) {
    std::vector<Bytes> sums(ranks.names.size(), 0);
    for (const RankSite& place : ranks.places) {
      if (is_cache(place)) continue;
      for (std::size_t rank = 0; rank < sums.size(); ++rank) sums[rank] += (place.*spread).by_rank[rank];
    }
    const Bytes least = std::max(least_difference, spread_of(sums, ranks.names).median / 100);
    for (const bool tensors : {true, false}) {
      std::optional<Outlier> furthest;
      const RankSite* where = nullptr;
      for (const RankSite& place : ranks.places) {
        if ((place.layer == "tensor") != tensors || is_cache(place)) continue;
        const std::optional<Outlier> found = vramtrack::find_outlier((place.*spread).by_rank, least);
        if (!found || (furthest && found->distance() <= furthest->distance())) continue;
        furthest = found;
        where = &place;
      }
      if (!furthest) continue;
      const auto more = static_cast<std::int64_t>(furthest->bytes - furthest->median_bytes);
      const std::string& name = ranks.names[furthest->rank];
      ranks.outlier = {name, measure, where->sites, furthest->bytes, furthest->median_bytes, more, ""};
      ranks.outlier->message = describe(*ranks.outlier);
      return;
    }
  }
}

std::string Merger::State::describe(const RankOutlier& outlier) const {
  std::string where = "(stack unknown)";
  for (const SiteReport& site : merged.sites) {
    if (site.id != outlier.sites.front()) continue;
    if (const std::optional<FrameId> own = own_frame(merged, site)) where = frame_label(merged.frames[*own]);
  }
  const std::int64_t more = outlier.difference_bytes;
  const bool peak = outlier.measure == "peak_bytes";
  return (outlier.rank.starts_with("pid") ? outlier.rank : "rank " + outlier.rank) + (peak ? " held " : " holds ") +
         human_bytes(static_cast<Bytes>(std::abs(more))) + (more > 0 ? " more" : " less") +
         " than the median rank at " + where + (peak ? " at its peak" : "") + ": " + human_bytes(outlier.bytes) +
         ", median " + human_bytes(outlier.median_bytes);
}

Report Merger::finish() {
  State& state = *state_;
  Report& report = state.merged;
  for (auto& [key, total] : state.totals) report.totals.push_back(total);
  for (const auto& [gpu, figures] : state.gpus) {
    LedgerEntry& entry = state.ledger[gpu.second];
    entry.total_bytes += figures.first;
    if (figures.second) entry.driver_used_bytes = entry.driver_used_bytes.value_or(0) + *figures.second;
  }
  for (auto& [device, entry] : state.ledger) {
    // What a process calls "other" on a shared GPU is partly the other processes': the remainder is taken anew.
    if (entry.driver_used_bytes) {
      Bytes owned = 0;
      for (const Owner& owner : entry.owners) owned += owner.bytes;
      entry.context_and_other_bytes = *entry.driver_used_bytes - std::min(owned, *entry.driver_used_bytes);
    }
    report.ledger.push_back(std::move(entry));
  }
  report.losses.notes.assign(state.notes.begin(), state.notes.end());
  for (const SiteReport& site : report.sites) {  // blocks of different processes share addresses: only counted
    report.allocations_omitted.bytes += site.live_bytes;
    report.allocations_omitted.count += site.live_count;
  }
  state.count_from_start();
  state.sort_sites();
  state.finish_places();
  state.find_outlier();
  findings::worst_first(report.findings);
  return std::move(state.merged);
}

}  // namespace vramtrack
