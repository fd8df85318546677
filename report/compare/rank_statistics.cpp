#include "report/compare/rank_statistics.hpp"

#include <algorithm>
#include <utility>

namespace vramtrack {
namespace {

Bytes lower_median(std::vector<Bytes> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Spread spread_of(std::vector<Bytes> values, const std::vector<std::string>& names) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  Spread spread;
  spread.min = *low;
  spread.max = *high;
  spread.median = lower_median(values);
  spread.min_rank = names[static_cast<std::size_t>(low - values.begin())];
  spread.max_rank = names[static_cast<std::size_t>(high - values.begin())];
  spread.by_rank = std::move(values);
  return spread;
}

std::optional<Outlier> find_outlier(const std::vector<Bytes>& values, Bytes least) {
  if (values.size() < 2) return std::nullopt;
  const Bytes median = lower_median(values);
  std::vector<Bytes> distances;
  Outlier furthest{0, values[0], median};
  for (std::size_t rank = 0; rank < values.size(); ++rank) {
    const Outlier one{rank, values[rank], median};
    distances.push_back(one.distance());
    if (one.distance() > furthest.distance()) furthest = one;
  }
  const Bytes usual = lower_median(std::move(distances));
  if (furthest.distance() == 0 || furthest.distance() < least || furthest.distance() <= 3 * usual) return std::nullopt;
  return furthest;
}

}  // namespace vramtrack
