// Copies and fills between host and simulated device memory.
#pragma once

#include "tools/sim/driver/state.hpp"

namespace vramtrack::sim {

/// Whether [address, address + bytes) lies in simulated memory as a whole.
bool is_simulated(std::uint64_t address, std::uint64_t bytes);

/// Copies; either side may be ordinary host memory. Memory that was never written reads as zero without being
/// touched, so that it costs the host nothing. Call without the lock.
void copy_bytes(std::uint64_t target, std::uint64_t source, std::uint64_t bytes);
void fill_bytes(std::uint64_t target, std::uint64_t value, unsigned value_bytes, std::uint64_t count);

}  // namespace vramtrack::sim
