// What the simulated device says it is: an H100 whose memory is of the size asked for.
#pragma once

namespace vramtrack::sim {

inline constexpr const char* device_name = "NVIDIA H100 80GB HBM3 (simulated)";
inline constexpr int driver_version = 13000;
inline constexpr int multiprocessors = 132;
inline constexpr int threads_per_multiprocessor = 2048;
inline constexpr int blocks_per_multiprocessor = 32;

/// Value of a device attribute by its number, which is the same in the driver and the runtime API; -1 for a number
/// that this device does not know. Attributes that depend on the device's index are left to the caller.
int attribute_value(int attribute);

}  // namespace vramtrack::sim
