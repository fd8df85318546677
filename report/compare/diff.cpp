#include "report/compare/diff.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "report/analysis/call_paths.hpp"
#include "report/analysis/site_key.hpp"
#include "report/compare/line_shift.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack {
namespace {

using Sites = std::vector<const SiteReport*>;

constexpr std::size_t most_candidates = 2000;  // sites of one key on one side that are compared line by line

struct Figures {
  Bytes bytes = 0;
  std::uint64_t count = 0;
};

Figures figures(const SiteReport* site, DiffBy by) {
  if (site == nullptr) return {};
  switch (by) {
    case DiffBy::live:
      return {site->live_bytes, site->live_count};
    case DiffBy::peak:
      return {at_peak(*site), 0};
    case DiffBy::allocated:
      return {site->allocated_bytes, site->allocated_count};
  }
  return {};
}

Change classify(Bytes a, Bytes b) {
  if (a == b) return Change::same;
  if (a == 0) return Change::appeared;
  if (b == 0) return Change::went;
  return a < b ? Change::grew : Change::shrank;
}

class Matcher {
 public:
  Matcher(const Report& a, const Report& b, DiffBy by) : a_(a), b_(b), by_(by), shifts_(a, b) {
    for (const SiteReport& site : a.sites) left_a_.push_back(&site);
    for (const SiteReport& site : b.sites) left_b_.push_back(&site);
  }

  std::vector<SiteChange> run() {
    SiteKeyOptions python;
    python.native_frames = false;
    // A certain partner first, also one that differs in the libraries' own frames; only then lines that were edited.
    for (const bool certain : {true, false}) {
      match({}, certain);
      match(python, certain);
    }
    for (const SiteReport* site : left_a_) add(site, nullptr);
    for (const SiteReport* site : left_b_) add(nullptr, site);
    return std::move(changes_);
  }

 private:
  void add(const SiteReport* a, const SiteReport* b) {
    const Figures before = figures(a, by_), after = figures(b, by_);
    changes_.push_back(
        {a, b, before.bytes, after.bytes, before.count, after.count, classify(before.bytes, after.bytes)});
  }

  void match(const SiteKeyOptions& options, bool certain);
  void match_group(Sites& a, Sites& b, const SiteKeyOptions& options, bool certain);

  const Report &a_, &b_;
  DiffBy by_;
  LineShifts shifts_;
  Sites left_a_, left_b_;
  std::vector<SiteChange> changes_;
};

void Matcher::match(const SiteKeyOptions& options, bool certain) {
  std::map<std::string, std::pair<Sites, Sites>> groups;
  SiteKeyOptions of_a = options, of_b = options;
  of_a.script = main_script(a_);
  of_b.script = main_script(b_);
  for (const SiteReport* site : left_a_) groups[site_key(a_, *site, of_a)].first.push_back(site);
  for (const SiteReport* site : left_b_) groups[site_key(b_, *site, of_b)].second.push_back(site);
  left_a_.clear();
  left_b_.clear();
  for (auto& [key, sides] : groups) {
    auto& [a, b] = sides;
    if (!a.empty() && !b.empty()) match_group(a, b, options, certain);
    left_a_.insert(left_a_.end(), a.begin(), a.end());
    left_b_.insert(left_b_.end(), b.begin(), b.end());
  }
}

/// Pairs the sites of one key, those whose every line is `certain` or else the nearest lines first; what stays in `a`
/// and `b` found no partner.
void Matcher::match_group(Sites& a, Sites& b, const SiteKeyOptions& options, bool certain) {
  struct Pair {
    int distance;
    Bytes difference;
    std::size_t a, b;
    auto order() const { return std::tuple(distance, difference, a, b); }
  };
  std::vector<Pair> pairs;
  std::vector<std::vector<const Frame*>> frames_b;
  const std::size_t count_a = std::min(a.size(), most_candidates), count_b = std::min(b.size(), most_candidates);
  for (std::size_t j = 0; j < count_b; ++j) frames_b.push_back(key_frames(b_, *b[j], options));
  for (std::size_t i = 0; i < count_a; ++i) {
    const std::vector<const Frame*> frames_a = key_frames(a_, *a[i], options);
    for (std::size_t j = 0; j < count_b; ++j) {
      int sum = 0;
      bool near = true;
      for (std::size_t k = 0; near && k < frames_a.size(); ++k) {
        const std::optional<int> distance = shifts_.distance(*frames_a[k], *frames_b[j][k]);
        near = distance.has_value() && (*distance == 0 || !certain);
        sum += distance.value_or(0);
      }
      if (!near) continue;
      const Bytes x = figures(a[i], by_).bytes, y = figures(b[j], by_).bytes;
      pairs.push_back({sum, x > y ? x - y : y - x, i, j});
    }
  }
  std::sort(pairs.begin(), pairs.end(), [](const Pair& x, const Pair& y) { return x.order() < y.order(); });
  for (const Pair& pair : pairs) {
    if (a[pair.a] == nullptr || b[pair.b] == nullptr) continue;
    add(a[pair.a], b[pair.b]);
    a[pair.a] = b[pair.b] = nullptr;
  }
  std::erase(a, nullptr);
  std::erase(b, nullptr);
}

std::vector<TotalChange> compare_totals(const std::vector<SiteChange>& sites) {
  std::map<std::tuple<bool, int, std::string>, TotalChange> totals;
  for (const SiteChange& change : sites) {
    const SiteReport& site = change.site();
    TotalChange& total = totals[{site.layer != "tensor", site.device, site.layer}];
    total.layer = site.layer;
    total.device = site.device;
    total.a_bytes += change.a_bytes;
    total.b_bytes += change.b_bytes;
  }
  std::vector<TotalChange> list;
  for (auto& [key, total] : totals) list.push_back(std::move(total));
  return list;
}

std::string site_label(const Report& report, const SiteReport& site) {
  const std::optional<FrameId> own = own_frame(report, site);
  return own ? frame_label(report.frames[*own]) : "(stack unknown)";
}

}  // namespace

const char* to_string(Change change) {
  switch (change) {
    case Change::appeared:
      return "appeared";
    case Change::grew:
      return "grew";
    case Change::shrank:
      return "shrank";
    case Change::went:
      return "went";
    case Change::same:
      return "same";
  }
  return "same";
}

const char* to_string(DiffBy by) {
  switch (by) {
    case DiffBy::live:
      return "live";
    case DiffBy::peak:
      return "peak";
    case DiffBy::allocated:
      return "allocated";
  }
  return "live";
}

Diff compare(const Report& a, const Report& b, DiffBy by) {
  Diff diff;
  diff.a = &a;
  diff.b = &b;
  diff.by = by;
  diff.sites = Matcher(a, b, by).run();
  diff.totals = compare_totals(diff.sites);
  std::stable_sort(diff.sites.begin(), diff.sites.end(), [](const SiteChange& x, const SiteChange& y) {
    const auto size = [](const SiteChange& change) { return change.delta() < 0 ? -change.delta() : change.delta(); };
    if (size(x) != size(y)) return size(x) > size(y);
    return x.b_bytes > y.b_bytes;
  });
  return diff;
}

std::string describe_growth(const Diff& diff, Bytes limit) {
  const auto too_much = [&](std::int64_t delta) { return delta > 0 && static_cast<Bytes>(delta) >= limit; };
  std::string message;
  const TotalChange* total = nullptr;
  for (const TotalChange& change : diff.totals) {
    if (too_much(change.delta()) && (total == nullptr || change.delta() > total->delta())) total = &change;
  }
  const SiteChange* site = nullptr;
  for (const SiteChange& change : diff.sites) {
    if (too_much(change.delta()) && (site == nullptr || change.delta() > site->delta())) site = &change;
  }
  if (total != nullptr) {
    message = render::compartment_title({total->layer, total->device}) + " grew by " +
              human_bytes(static_cast<Bytes>(total->delta()));
  }
  if (site != nullptr) {
    message += message.empty() ? "" : "; ";
    message += std::string("the largest growth of a call site is ") + human_bytes(static_cast<Bytes>(site->delta())) +
               " at " + site_label(diff.frames_of(*site), site->site());
  }
  return message;
}

}  // namespace vramtrack
