#include "tools/fit/search.hpp"

#include <algorithm>
#include <cmath>

namespace vramtrack::tools::fit {
namespace {

/// What does not grow with a batch.
bool is_constant(const std::string& role) {
  return role == "parameter" || role == "gradient" || role == "optimizer_state" || role == "buffer" ||
         role == "workspace";
}

}  // namespace

Search::Search(std::vector<Gpu> gpus, Index count, RunOne run)
    : gpus_(std::move(gpus)), count_(count), run_(std::move(run)), too_large_(count) {}

/// False when it runs out even on the large device.
bool Search::measure(Index value) {
  if (measured_.contains(value)) return true;
  if (value >= too_large_) return false;
  ++measuring_runs_;
  Trial trial = run_(value, std::nullopt);
  if (trial.out_of_memory) {
    too_large_ = value;
    return false;
  }
  measured_.emplace(value, std::move(trial));
  return true;
}

/// Two values, the second near the answer: what one run says of roles tells how far to go.
void Search::measure_first() {
  if (!measure(0) || count_ == 1) return;
  const Trial& first = measured_.at(0);
  Bytes constant = 0;
  for (const auto& [role, amount] : first.roles)
    if (is_constant(role)) constant += amount.first;
  Bytes room = 0;
  for (const Gpu& gpu : gpus_) room = std::max(room, gpu.room());
  // As if the first value were 1 and all the rest of what is live grew in proportion. What lies too far off costs
  // nothing: the line through both is the better for it.
  const Bytes growing = std::max<Bytes>(first.peak_live_bytes - std::min(constant, first.peak_live_bytes), 1);
  const double times = room > constant ? static_cast<double>(room - constant) / static_cast<double>(growing) : 1;
  constexpr double farthest = 256;
  Index second = static_cast<Index>(std::clamp(times - 1, 1.0, farthest));
  second = std::min(second, count_ - 1);
  while (!measure(second) && second > 1) second /= 4;
}

/// The line through the two measured values around the place where `figure` passes `room`; beyond all of them, through
/// the last two.
Search::Line Search::line(Bytes Trial::*figure, Bytes room) const {
  auto after = measured_.begin();
  while (after != measured_.end() && after->second.*figure <= room) ++after;
  if (after == measured_.begin()) ++after;
  if (after == measured_.end()) --after;
  const auto before = std::prev(after);
  const auto low = static_cast<double>(before->second.*figure), high = static_cast<double>(after->second.*figure);
  const double slope = (high - low) / static_cast<double>(after->first - before->first);
  return {low - slope * static_cast<double>(before->first), slope};
}

/// The largest value whose `figure` should be within `room`.
Index Search::predict(Bytes Trial::*figure, Bytes room) const {
  if (measured_.empty()) return 0;
  if (measured_.size() == 1) return measured_.begin()->second.*figure <= room ? count_ - 1 : -1;
  const Line found = line(figure, room);
  if (found.slope <= 0) return measured_.begin()->second.*figure <= room ? count_ - 1 : -1;
  const double at = std::floor((static_cast<double>(room) - found.constant) / found.slope);
  return static_cast<Index>(std::clamp(at, -1.0, static_cast<double>(count_ - 1)));
}

/// The value to run: the prediction, or what lies behind it when runs have contradicted it. `fits` < it < `fails`.
Index Search::next(Index fits, Index fails, Bytes room, Index& stride) const {
  const Index predicted = predict(&Trial::used_bytes, room);
  if (predicted > fits && predicted < fails) return predicted;
  const Index step = stride;
  stride *= 2;
  Index value = fails - step;
  if (predicted <= fits) {
    // The allocator gives its cache back at the limit, so more may fit than it would take at its ease; but no more
    // than what is live. The neighbour first: mostly it does not fit.
    const Index bound = std::min(fails, predict(&Trial::needed_bytes, room) + 1);
    value = step == 1 || bound <= fits ? fits + step : fits + std::max<Index>((bound - fits) / 2, 1);
  }
  return value > fits && value < fails ? value : fits + (fails - fits) / 2;
}

/// Whether the figures of another run here would say more than the line does.
bool Search::is_far_from_measured(Index value) const {
  return std::none_of(measured_.begin(), measured_.end(),
                      [&](const auto& one) { return std::abs(one.first - value) <= std::max<Index>(1, value / 16); });
}

Answer Search::find(std::size_t gpu) {
  Answer answer;
  const Bytes room = gpus_[gpu].room();
  Index fits = -1, fails = count_, stride = 1;
  int surprises = 0;
  while (fails - fits > 1) {
    const Index predicted = predict(&Trial::used_bytes, room);
    const Index value = next(fits, fails, room, stride);
    Trial trial = run_(value, gpu);
    ++answer.runs;
    const bool foreseen = (value <= predicted) == !trial.out_of_memory;
    const bool beyond = measured_.empty() || value > measured_.rbegin()->first;
    if (trial.out_of_memory) {
      fails = value;
    } else {
      fits = value;
      answer.at_largest = std::move(trial);
    }
    // The line was drawn over a bend: beyond what was measured at once, else when two runs say so.
    surprises = foreseen ? 0 : surprises + 1;
    const bool bent = surprises >= 2 || (surprises == 1 && beyond && fails == value);
    if (bent && fails - fits > 2 && is_far_from_measured(value)) {
      surprises = 0;
      measure(value);
      if (const Index better = predict(&Trial::used_bytes, room); better > fits && better < fails) stride = 1;
    }
  }
  answer.largest = fits;
  return answer;
}

std::vector<Answer> Search::find() {
  measure_first();
  std::vector<Answer> answers;
  for (std::size_t gpu = 0; gpu < gpus_.size(); ++gpu) answers.push_back(find(gpu));
  for (Answer& answer : answers) answer.runs += measuring_runs_;
  return answers;
}

}  // namespace vramtrack::tools::fit
