// How a figure spreads over the ranks of a job, and which rank differs from the rest.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

/// `values`: one per rank, never empty; `names`: the ranks in the same order.
Spread spread_of(std::vector<Bytes> values, const std::vector<std::string>& names);

struct Outlier {
  std::size_t rank = 0;  // index into the values
  Bytes bytes = 0, median_bytes = 0;
  Bytes distance() const { return bytes > median_bytes ? bytes - median_bytes : median_bytes - bytes; }
};

/// The rank that is furthest from the median, if it stands out: its distance is `least` or more, and more than three
/// times the distance that half of the ranks stay within. Of two ranks, the larger one. Nothing for a single rank.
std::optional<Outlier> find_outlier(const std::vector<Bytes>& values, Bytes least);

}  // namespace vramtrack
