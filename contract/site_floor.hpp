// How a site's level went, in sixteen bytes: the least that it held between each point and the next. What is allocated
// and freed again leaves no trace in it, a container that is cleared falls to nothing, one that reached its size stays
// level; what piles up, or is replaced by something longer each time, rises from point to point until the end.
//
// Points lie `1 << floor_stride` allocations of the site apart. When all are used, pairs are joined and the stride
// doubles. They are kept in a byte each, in units that double when a level does not fit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "contract/layout.hpp"

namespace vramtrack::trace {

inline constexpr unsigned floor_unit_shift = 9;  // what PyTorch rounds blocks up to
inline constexpr std::size_t floor_points = sizeof(Site::floor_points);

/// Before an allocation is counted: whether a stretch ends with it.
inline bool is_floor_point(const Site& site) noexcept {
  return (site.allocated_count & ((std::uint64_t{1} << site.floor_stride) - 1)) == 0;
}

/// Before that allocation is counted, its bytes added already: keeps the stretch that ended, and begins the next.
[[gnu::cold, gnu::noinline]] inline void set_floor_point(Site& site) noexcept {
  std::uint8_t* const points = site.floor_points;
  if (const std::uint64_t count = site.allocated_count >> site.floor_stride; count != 0 && count <= floor_points) {
    while (site.floor >> site.floor_scale > 0xff) {
      ++site.floor_scale;
      for (std::size_t i = 0; i < floor_points; ++i) points[i] = static_cast<std::uint8_t>(points[i] >> 1);
    }
    points[count - 1] = static_cast<std::uint8_t>(site.floor >> site.floor_scale);
    if (count == floor_points) {
      for (std::size_t i = 0; i < floor_points / 2; ++i) points[i] = std::min(points[2 * i], points[2 * i + 1]);
      ++site.floor_stride;
    }
  }
  site.floor = static_cast<std::uint32_t>(std::min<std::uint64_t>(site.live_bytes >> floor_unit_shift, 0xffffffffu));
}

/// After a free.
inline void lower_floor(Site& site) noexcept {
  const std::uint64_t level = site.live_bytes >> floor_unit_shift;
  if (level < site.floor) site.floor = static_cast<std::uint32_t>(level);
}

}  // namespace vramtrack::trace
