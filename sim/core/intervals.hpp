// A set of addresses as disjoint half-open intervals. Neighbours merge.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace vramtrack::sim {

class Intervals {
 public:
  void add(std::uint64_t start, std::uint64_t end) {
    auto next = m_ends.upper_bound(start);
    if (next != m_ends.begin() && std::prev(next)->second >= start) {
      --next;
      start = next->first;
      end = std::max(end, next->second);
      next = m_ends.erase(next);
    }
    while (next != m_ends.end() && next->first <= end) {
      end = std::max(end, next->second);
      next = m_ends.erase(next);
    }
    m_ends.emplace(start, end);
  }

  bool intersects(std::uint64_t start, std::uint64_t end) const {
    const auto next = m_ends.lower_bound(start);
    if (next != m_ends.end() && next->first < end) return true;
    return next != m_ends.begin() && std::prev(next)->second > start;
  }

  /// Takes [start, end) out and returns the parts that were in the set.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> remove(std::uint64_t start, std::uint64_t end) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> removed;
    auto next = m_ends.lower_bound(start);
    if (next != m_ends.begin() && std::prev(next)->second > start) --next;
    while (next != m_ends.end() && next->first < end) {
      const auto [from, to] = *next;
      next = m_ends.erase(next);
      if (from < start) m_ends.emplace(from, start);
      if (to > end) next = m_ends.emplace(end, to).first;
      removed.emplace_back(std::max(from, start), std::min(to, end));
    }
    return removed;
  }

 private:
  std::map<std::uint64_t, std::uint64_t> m_ends;  // start -> end
};

}  // namespace vramtrack::sim
