#include "report/analysis/verdict.hpp"

#include <algorithm>
#include <cmath>

#include "report/support/units.hpp"

namespace vramtrack {
namespace {

// The distance (Kolmogorov-Smirnov) of the births from an even spread that a leak may have. A leak in every step has
// about 1/n; one in every k-th step 1/m for its m blocks; an exponential look-alike (random replacement, saturating
// cache) has more than 0.5 once it is older than two of its time constants.
constexpr double most_uneven = 0.34;
constexpr double shortest_idle = 10;  // seconds
// The youngest of a container is often a variable's, too, and then none of these: where pauses are known by many
// births, one more of them may have passed.
constexpr std::size_t many_births = 16;
constexpr std::size_t least_steps = 4;  // with births that are neither the first step's nor the last two's

/// How evenly positions (ascending) lie in [begin, end].
double unevenness(const std::vector<double>& positions, double begin, double end) {
  const double length = end - begin;
  if (!(length > 0) || positions.empty()) return 1;
  const double n = static_cast<double>(positions.size());
  double worst = 0;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const double expected = (positions[i] - begin) / length;
    const double below = static_cast<double>(i) / n, above = static_cast<double>(i + 1) / n;
    worst = std::max({worst, std::fabs(expected - below), std::fabs(expected - above)});
  }
  return worst;
}

/// How long a pause between births may be before it means that they had not begun yet, or have ended: a quarter more
/// than the longest one seen between two births.
double longest_pause(const std::vector<double>& positions) {
  double longest = 0;
  for (std::size_t i = 1; i < positions.size(); ++i) longest = std::max(longest, positions[i] - positions[i - 1]);
  return 1.25 * longest;
}

std::string number(double value) { return human_count(whole(value)); }

class Judge {
 public:
  Judge(const SiteHistory& history, const RunClock& clock) : history_(history), clock_(clock) {
    survivors_ = history.survivors;
    std::sort(survivors_.begin(), survivors_.end(),
              [](const Birth& a, const Birth& b) { return a.step != b.step ? a.step < b.step : a.time < b.time; });
    for (const Birth& birth : survivors_) {
      bytes_ += birth.bytes;
      if (steps_.empty() || steps_.back() != birth.step) steps_.push_back(birth.step);
    }
  }

  Verdict decide() const {
    if (history_.purpose == Purpose::allocator_segment) {
      return verdict("cache",
                     "memory that a caching allocator keeps to hand out again; its blocks are listed as tensors");
    }
    if (survivors_.empty()) return nothing_alive();
    const bool one_moment = steps_.size() == 1;
    Verdict grows = clock_.steps > 0 && !one_moment ? growing_by_step() : growing_by_time();
    if (history_.purpose == Purpose::workspace && grows.verdict.empty()) {
      return verdict("cache", "a library's workspace: allocated once per handle and stream and kept on purpose");
    }
    if (!grows.verdict.empty()) return grows;
    return not_growing();
  }

 private:
  Verdict verdict(const char* name, std::string evidence) const {
    Verdict result{name, {}, std::move(evidence)};
    if (clock_.steps > 0) result.growth.bytes_per_step = 0;
    if (!steps_.empty()) result.growth.steps_spanned = steps_.back() - steps_.front() + 1;
    return result;
  }

  Verdict nothing_alive() const {
    if (history_.allocated_count <= 1) return verdict("one-off", "allocated once and freed again");
    return verdict("recent",
                   "allocated " + number(static_cast<double>(history_.allocated_count)) + " times, all freed again");
  }

  std::uint32_t last_step() const { return clock_.steps; }

  /// The oldest survivors must reach back to the site's own beginning: a bounded buffer's do not. Unless nothing was
  /// freed since the oldest survivor was born: then the site began to keep its blocks only then.
  bool reaches_back(double first_survivor, double first_allocation, double pause, double first_survivor_time) const {
    if (first_survivor - first_allocation <= pause) return true;
    return history_.freed_count == 0 || history_.last_free_time <= first_survivor_time;
  }

  /// A site that frees blocks of earlier steps evicts: a bounded buffer, a list that is cleared. A leak among
  /// temporaries frees within the step, a few at the end of an epoch aside.
  bool evicts() const { return 4 * history_.freed_late > survivors_.size(); }

  Verdict growing_by_step() const {
    if (evicts()) return {};
    const std::uint32_t last = last_step();
    // Births between the warm-up and the last two steps: what is neither set-up nor the current step's temporaries.
    std::vector<double> middle;
    double first_time = 0;
    Bytes middle_bytes = 0;
    for (const Birth& birth : survivors_) {
      const bool in_middle = birth.step > steps_.front() && birth.step + 1 < last;
      if (!in_middle) continue;
      if (middle.empty() || middle.back() != birth.step) middle.push_back(birth.step);
      middle_bytes += birth.bytes;
    }
    if (middle.size() < least_steps) return {};
    first_time = survivors_.front().time;
    std::vector<double> all(steps_.begin(), steps_.end());
    const double pause = longest_pause(all);
    const double begin = all.front(), end = last;
    // What a phase makes may be put with the others at its end: of few the next is being made.
    const bool next_is_made = end - history_.made_until <= pause + 1;
    const bool goes_on = end - all.back() <= (all.size() < many_births && !next_is_made ? pause : 2 * pause) + 1;
    if (!goes_on || !reaches_back(begin, history_.first_step, pause, first_time)) return {};
    const double uneven = unevenness(middle, begin, end);
    if (uneven > most_uneven) return {};
    const double share = static_cast<double>(steps_.size()) / (all.back() - begin + 1);
    // A model that gets another layer, or whose layers are trained one after the other, grows in stages: in few.
    constexpr std::size_t most_stages = 20;
    if (2 * history_.of_model >= survivors_.size() && share < 0.5 && steps_.size() < most_stages) return {};

    Verdict result = verdict("growing", "");
    const double span = (middle.back() - middle.front()) * (1 + 1.0 / static_cast<double>(middle.size() - 1));
    result.growth.bytes_per_step = static_cast<double>(middle_bytes) / span;
    result.growth.bytes_per_second = per_second();
    result.evidence = number(static_cast<double>(survivors_.size())) + " blocks alive that were born in " +
                      number(static_cast<double>(steps_.size())) + " different steps, " + number(begin) + " to " +
                      number(all.back()) + " of " + number(last) + ", evenly spread (" +
                      number(100 * std::min(1.0, share)) + " % of the steps left one), and still at the end";
    return result;
  }

  double per_second() const {
    double first = survivors_.front().time, last = first;
    for (const Birth& birth : survivors_) {
      first = std::min(first, birth.time);
      last = std::max(last, birth.time);
    }
    return last > first ? static_cast<double>(bytes_) / (last - first) : 0;
  }

  double activity(double time) const { return clock_.activity == nullptr ? time : clock_.activity->at(time); }

  /// Blocks that came and went between two moments: each is two events, one that stays is one.
  std::uint64_t temporaries(double begin, double end) const {
    if (clock_.activity == nullptr || clock_.births == nullptr) return clock_.temporaries;
    const auto [first, last] = std::pair{std::lower_bound(clock_.births->begin(), clock_.births->end(), begin),
                                         std::upper_bound(clock_.births->begin(), clock_.births->end(), end)};
    const double events = activity(end) - activity(begin), kept = static_cast<double>(last - first);
    return events > kept ? static_cast<std::uint64_t>((events - kept) / 2) : 0;
  }

  /// Without a step clock, or for what was all born between two steps (an evaluation loop). A model, a data set or a
  /// cache that is being filled also allocates evenly over its time: so other blocks must come and go between the
  /// births, as in a loop that computes, until the end of the run; and a backward pass, which does the same once, must
  /// not have made them.
  Verdict growing_by_time() const {
    const std::size_t count = survivors_.size();
    if (count < history_.least_births || 2 * history_.of_model >= count) return {};
    if (clock_.steps > 0 && steps_.front() != last_step()) return {};  // between two earlier steps, and never again
    if (evicts()) return {};
    std::vector<double> births;  // on the clock of activity
    double first = survivors_.front().time, last = first;
    for (const Birth& birth : survivors_) {
      births.push_back(activity(birth.time));
      first = std::min(first, birth.time);
      last = std::max(last, birth.time);
    }
    std::sort(births.begin(), births.end());
    const std::uint64_t others = temporaries(first, last);
    if (4 * others < 3 * count) return {};  // one for each; the time series tells their number roughly
    const double begin = births.front(), end = activity(clock_.now), length = end - begin;
    const double pause = longest_pause(births);
    // Few survivors of a buffer that is replaced at random may lie far apart, and are no older for it.
    const double reach = std::min(pause, 0.15 * length), origin = activity(history_.first_time);
    if (!(length > 0) || !reaches_back(begin, origin, reach, first)) return {};
    // A site that let all go before may do so again: what it keeps since then must have lasted.
    if (history_.freed_count > 0 && begin - origin > reach && length < 0.1 * (end - origin)) return {};
    if (end - births.back() > std::max(0.05 * length, count < many_births ? pause : 1.8 * pause)) return {};
    // It stopped long ago, and nothing else went on either. A short wait may be that of a busy machine.
    if (clock_.now - last > 2 * (last - first) + shortest_idle) return {};
    if (unevenness(births, begin, end) > most_uneven) return {};

    Verdict result = verdict("growing", "");
    result.growth.bytes_per_step.reset();
    result.growth.bytes_per_second = per_second();
    result.evidence = number(static_cast<double>(count)) + " blocks alive that were born evenly over " +
                      human_duration(last - first) + ", and still at the end, while " +
                      number(static_cast<double>(others)) + " other blocks were freed";
    return result;
  }

  Verdict not_growing() const {
    const std::uint32_t last = last_step();
    const std::uint32_t first = steps_.front();
    const std::string alive = plural(survivors_.size(), "block");
    if (clock_.steps == 0) {
      if (history_.freed_count == 0) return verdict("steady", alive + " alive, none ever freed");
      const bool all = history_.allocated_count == survivors_.size();
      return verdict("recent", alive + " alive" +
                                   (all ? ", too few to tell by them whether there are more and more"
                                        : " of " + plural(history_.allocated_count, "allocation") +
                                              ", the others were freed again"));
    }
    const bool in_last_steps = last >= 2 && first + 1 >= last;
    if (in_last_steps && history_.freed_count > 0) {
      return verdict("recent", alive + " of the last two steps; those of earlier steps were freed");
    }
    // "Early": the first two steps, or the first tenth of a long run.
    const std::uint32_t early = std::max<std::uint32_t>(1, last / 10);
    if (steps_.back() <= early) {
      return verdict(
          "steady", alive + " born in the first " + (early <= 1 ? "steps" : plural(early, "step")) + " and kept since");
    }
    if (steps_.size() == 1 && history_.allocated_count == survivors_.size()) {
      return verdict("one-off", alive + " born in step " + number(first) + " of " + number(last) + ", never again");
    }
    if (history_.freed_count > 0 && history_.first_step < first) {
      return verdict("recent", alive + " of the last " + plural(last - first + 1, "step") +
                                   "; older ones are freed as new ones come");
    }
    const auto early_births = std::count_if(survivors_.begin(), survivors_.end(),
                                            [&](const Birth& birth) { return birth.step <= first + early; });
    return verdict("steady", number(static_cast<double>(early_births)) + " of " + alive + " born by step " +
                                 number(first + early) + " of " + number(last) + "; no even growth after that");
  }

  const SiteHistory& history_;
  const RunClock& clock_;
  std::vector<Birth> survivors_;
  std::vector<std::uint32_t> steps_;  // distinct, ascending
  Bytes bytes_ = 0;
};

}  // namespace

void ActivityClock::add(double time, std::uint64_t events) {
  const double before = points_.empty() ? 0 : points_.back().events;
  points_.push_back({time, before + static_cast<double>(events)});
}

double ActivityClock::at(double time) const noexcept {
  if (points_.empty()) return time;
  const auto next = std::lower_bound(points_.begin(), points_.end(), time,
                                     [](const Point& point, double wanted) { return point.time < wanted; });
  if (next == points_.end()) return points_.back().events;
  const Point before = next == points_.begin() ? Point{0, 0} : *(next - 1);
  if (!(next->time > before.time)) return next->events;
  return before.events + (next->events - before.events) * (time - before.time) / (next->time - before.time);
}

Verdict judge(const SiteHistory& history, const RunClock& clock) { return Judge(history, clock).decide(); }

}  // namespace vramtrack
