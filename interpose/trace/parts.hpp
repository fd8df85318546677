// Parts of recording that test/bench/ab.py switches off and on to see what each costs. Only a tree that is configured
// with -DVRAMTRACK_BENCH_PARTS=ON has the switches; everywhere else a part is always on, and the compiler sees it.
#pragma once

#include <cstdint>

#ifdef VRAMTRACK_BENCH_PARTS
#include "contract/dormant.hpp"
#include "interpose/trace/writer.hpp"
#endif

namespace vramtrack {

/// Bits of Header::dormant, above its own.
enum class Part : std::uint32_t {
  python = 1 << 8,         // walking the Python frames of an allocation
  native = 1 << 9,         // comparing or unwinding its native frames
  current_node = 1 << 10,  // asking for the autograd node that runs
  node_lines = 1 << 11,    // the lines that build autograd nodes
  waiting = 1 << 12,       // clock and ring: without it nothing is booked either
  booking = 1 << 13,       // ledger, sites, totals
  agent = 1 << 14,         // what an event tells it
};

#ifdef VRAMTRACK_BENCH_PARTS
inline bool is_on(Part part) noexcept {
  trace::Writer* const writer = trace::active();
  return writer == nullptr || (trace::dormant_bits(writer->header()) & static_cast<std::uint32_t>(part)) == 0;
}
#else
constexpr bool is_on(Part) noexcept { return true; }
#endif

}  // namespace vramtrack
