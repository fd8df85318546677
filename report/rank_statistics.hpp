// How a figure spreads over the ranks of a job, and which rank differs from the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "report/model.hpp"

namespace vramtrack {

struct Spread {
  Bytes min_bytes = 0, max_bytes = 0, median_bytes = 0;  // median: the lower one of an even number
  std::size_t min_rank = 0, max_rank = 0;                // indices into the values
};

/// `values`: one per rank, never empty.
Spread spread_of(const std::vector<Bytes>& values);

struct Outlier {
  std::size_t rank = 0;  // index into the values
  Bytes bytes = 0, median_bytes = 0;
  Bytes distance() const { return bytes > median_bytes ? bytes - median_bytes : median_bytes - bytes; }
};

/// The rank that is furthest from the median, if it stands out: its distance is `least` or more, and more than three
/// times the distance that half of the ranks stay within. Of two ranks, the larger one. Nothing for a single rank.
std::optional<Outlier> find_outlier(const std::vector<Bytes>& values, Bytes least);

}  // namespace vramtrack
