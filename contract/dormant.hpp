// Recording that is switched on and off while the program runs (`vramtrack run --dormant`, `start PID`, `stop PID`):
// one word of the trace's header, which the tools write and the traced process reads at each event.
#pragma once

#include <atomic>
#include <cstdint>

#include "contract/layout.hpp"

namespace vramtrack::trace {

/// Bits of Header::dormant.
enum DormantBits : std::uint32_t {
  off_now = 1,
  was_off = 2,  // for some time of the run: blocks that were allocated then are not known
  settled = 4,  // the process ended in order, with every event booked: all sums agree (contradictions.hpp)
};

inline std::uint32_t dormant_bits(const Header& header) noexcept {
  return std::atomic_ref(const_cast<std::uint32_t&>(header.dormant)).load(std::memory_order_relaxed);
}

inline void set_dormant_bits(Header& header, std::uint32_t bits) noexcept {
  std::atomic_ref(header.dormant).store(bits, std::memory_order_relaxed);
}

}  // namespace vramtrack::trace
