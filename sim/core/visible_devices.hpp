// CUDA_VISIBLE_DEVICES: which of the machine's devices a process sees, and in which order.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vramtrack::sim {

/// The number that names a device in every process and every run: 16 bytes, as CUDA gives them.
void device_uuid(int ordinal, char (&bytes)[16]);
/// As nvidia-smi writes it: GPU-76726d74-...
std::string device_uuid_text(int ordinal);

/// The ordinals that `list` (the variable's value; nullptr: unset) lets a process see, of `devices`. As CUDA reads it:
/// numbers, or beginnings of UUIDs; the first entry that names no device ends the list, and one that is there twice
/// leaves no device at all.
std::vector<int> visible_devices(const char* list, int devices);

/// The same, of this process's environment.
std::vector<int> visible_devices(int devices);

}  // namespace vramtrack::sim
