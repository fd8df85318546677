#include "sim/driver/device.hpp"

#include <algorithm>

#include "sim/driver/usage.hpp"

namespace vramtrack::sim {

namespace {
constexpr std::uint64_t small_limit = 1ull << 20;
constexpr std::uint64_t small_unit = 512;
}  // namespace

std::uint64_t Device::free() const {
  const std::uint64_t taken = m_used + m_usage.of_others(m_ordinal);
  return taken < m_total ? m_total - taken : 0;
}

bool Device::charge(std::uint64_t bytes) {
  if (bytes > free()) return false;
  m_used += bytes;
  m_usage.publish(m_ordinal, m_used);
  return true;
}

void Device::release(std::uint64_t bytes) {
  m_used -= std::min(bytes, m_used);
  m_usage.publish(m_ordinal, m_used);
}

bool Device::charge_allocation(std::uint64_t bytes) {
  if (bytes > m_total) return false;
  if (bytes >= small_limit) return charge(round_up(bytes, big_page));
  const std::uint64_t small = m_small + round_up(bytes, small_unit);
  if (!charge(round_up(small, big_page) - round_up(m_small, big_page))) return false;
  m_small = small;
  return true;
}

void Device::release_allocation(std::uint64_t bytes) {
  if (bytes >= small_limit) return release(round_up(bytes, big_page));
  const std::uint64_t small = m_small - round_up(bytes, small_unit);
  release(round_up(m_small, big_page) - round_up(small, big_page));
  m_small = small;
}

void Device::count(Kind kind, std::uint64_t bytes) {
  m_live_bytes[static_cast<std::size_t>(kind)] += bytes;
  ++m_live_count[static_cast<std::size_t>(kind)];
  ++m_allocations;
}

void Device::uncount(Kind kind, std::uint64_t bytes) {
  m_live_bytes[static_cast<std::size_t>(kind)] -= bytes;
  --m_live_count[static_cast<std::size_t>(kind)];
}

}  // namespace vramtrack::sim
