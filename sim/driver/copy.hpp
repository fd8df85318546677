// Copies and fills between host and simulated device memory. Device memory that nothing ever wrote reads as zero, and
// neither reading nor zeroing it touches it: a model that is only computed with costs the host no memory.
#pragma once

#include "sim/driver/state.hpp"

namespace vramtrack::sim {

/// Whether [address, address + bytes) lies in simulated memory as a whole.
bool is_simulated(std::uint64_t address, std::uint64_t bytes);

/// Whether a range may hold anything but zeros, and that it will. Call without the lock.
bool may_hold_data(std::uint64_t address, std::uint64_t bytes);
void mark_written(std::uint64_t address, std::uint64_t bytes);

/// Copies; either side may be ordinary host memory. Call without the lock.
void copy_bytes(std::uint64_t target, std::uint64_t source, std::uint64_t bytes);
void fill_bytes(std::uint64_t target, std::uint64_t value, unsigned value_bytes, std::uint64_t count);

/// This thread's next copy of at most eight bytes from the device to the host is answered with a number: what a kernel
/// would have counted. Until then the answer is waiting; it can be withdrawn.
void answer_next_copy(std::uint64_t value);
bool answer_is_waiting();
void withdraw_answer();

/// Makes device memory read as zero again. Memory that is not the device's is left alone. Call without the lock.
void forget_bytes(std::uint64_t address, std::uint64_t bytes);

}  // namespace vramtrack::sim
