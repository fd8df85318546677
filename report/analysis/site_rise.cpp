#include "report/analysis/site_rise.hpp"

#include <algorithm>

#include "contract/site_floor.hpp"

namespace vramtrack {
namespace {

constexpr std::uint64_t least_allocations = 24;
constexpr std::uint64_t least_let_go = 64;  // of which the program was let go: a loop that collects may be as short
constexpr std::size_t least_floors = 5;
constexpr std::uint64_t least_blocks = 8;  // of which one may say that there are more and more

/// Higher from stretch to stretch but for its beginning, in which a run finds its pace, and in the second half by a
/// third of what it was in the first, or more.
bool goes_up(const std::vector<std::uint64_t>& floors) {
  if (floors.size() < least_floors) return false;
  for (std::size_t i = floors.size() / 3 + 1; i + 1 < floors.size(); ++i)
    if (floors[i] <= floors[i - 1]) return false;
  const std::size_t last = floors.size() - 1;  // a short stretch: it may be as high as the one before
  if (floors[last] < floors[last - 1]) return false;
  const std::uint64_t middle = floors[last / 2], front = std::min(floors.front(), middle);
  return floors[last] > middle && 3 * (floors[last] - middle) >= middle - front;
}

}  // namespace

std::vector<std::uint64_t> floors_of(const trace::Site& site) {
  if (site.allocated_count == 0 || site.floor_stride > 40) return {};
  const std::uint64_t count = (site.allocated_count - 1) >> site.floor_stride;
  if (count >= trace::floor_points) return {};  // a trace of a version that kept none
  std::vector<std::uint64_t> floors;
  for (std::uint64_t i = 0; i < count; ++i)
    floors.push_back((std::uint64_t{site.floor_points[i]} << site.floor_scale) << trace::floor_unit_shift);
  floors.push_back(std::uint64_t{site.floor} << trace::floor_unit_shift);
  return floors;
}

bool level_is_kept(const trace::Site& site, std::uint64_t bytes) {
  const std::vector<std::uint64_t> floors = floors_of(site);
  if (floors.size() < least_floors || site.live_bytes < bytes) return false;  // they were let go since
  const std::uint64_t middle = floors[(floors.size() - 1) / 2];
  const bool level = 4 * floors.back() >= 3 * bytes && floors.back() < middle + bytes / 16;
  return level || 2 * floors.back() < bytes;
}

Rise rise_of(const trace::Site& site) {
  if (site.allocated_count < least_allocations || site.live_count == 0) return Rise::none;
  if (10 * site.freed_count < site.allocated_count) return Rise::none;  // births tell more
  if (!goes_up(floors_of(site))) return Rise::none;
  const double usual = static_cast<double>(site.allocated_bytes) / static_cast<double>(site.allocated_count);
  const double now = static_cast<double>(site.live_bytes) / static_cast<double>(site.live_count);
  if (site.live_count <= 2) return now >= 1.5 * usual ? Rise::longer : Rise::none;
  const bool alike = now <= 1.5 * usual && usual <= 1.5 * now;
  return site.live_count >= least_blocks && alike ? Rise::more : Rise::none;
}

Rise rise_until_let_go(const trace::Site& site, std::uint64_t bytes, std::uint64_t blocks) {
  if (site.allocated_count < least_let_go || site.live_count != 0) return Rise::none;
  std::vector<std::uint64_t> floors = floors_of(site);
  if (!floors.empty()) floors.pop_back();  // the stretch in which all went
  if (!goes_up(floors)) return Rise::none;
  const double usual = static_cast<double>(site.allocated_bytes) / static_cast<double>(site.allocated_count);
  if (blocks <= 2 && site.own_peak_bytes <= 2 * site.largest_bytes)  // the new one is made while the old one is there
    return static_cast<double>(site.largest_bytes) >= 1.5 * usual ? Rise::longer : Rise::none;
  const double now = static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(blocks, 1));
  const bool alike = now <= 1.5 * usual && usual <= 1.5 * now;
  return blocks >= least_blocks && alike ? Rise::more : Rise::none;
}

}  // namespace vramtrack
