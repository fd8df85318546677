// Hands out ranges of a number line (addresses, file offsets): best fit, lowest first, merging on release.
// Reuse of low ranges is wanted: real drivers reuse addresses at once, and tools must cope with it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace vramtrack::sim {

class Ranges {
 public:
  void add(std::uint64_t start, std::uint64_t size) { insert(start, size); }

  /// 0 when nothing fits. `size` must be a multiple of `alignment`, a power of two.
  std::uint64_t take(std::uint64_t size, std::uint64_t alignment) {
    for (auto found = m_by_size.lower_bound({size, 0}); found != m_by_size.end(); ++found) {
      const auto [length, start] = *found;
      const std::uint64_t aligned = (start + alignment - 1) & ~(alignment - 1);
      if (aligned - start + size > length) continue;
      m_by_size.erase(found);
      m_by_start.erase(start);
      if (aligned > start) insert(start, aligned - start);
      if (aligned + size < start + length) insert(aligned + size, start + length - aligned - size);
      return aligned;
    }
    return 0;
  }

  void give(std::uint64_t start, std::uint64_t size) {
    auto next = m_by_start.lower_bound(start);
    if (next != m_by_start.end() && next->first == start + size) {
      size += next->second;
      m_by_size.erase({next->second, next->first});
      next = m_by_start.erase(next);
    }
    if (next != m_by_start.begin()) {
      const auto previous = std::prev(next);
      if (previous->first + previous->second == start) {
        start = previous->first;
        size += previous->second;
        m_by_size.erase({previous->second, previous->first});
        m_by_start.erase(previous);
      }
    }
    insert(start, size);
  }

 private:
  void insert(std::uint64_t start, std::uint64_t size) {
    m_by_start.emplace(start, size);
    m_by_size.emplace(size, start);
  }

  std::map<std::uint64_t, std::uint64_t> m_by_start;
  std::set<std::pair<std::uint64_t, std::uint64_t>> m_by_size;
};

}  // namespace vramtrack::sim
