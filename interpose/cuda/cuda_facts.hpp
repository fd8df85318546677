// What the driver says about itself, its devices and their memory, as notes in the trace. Uses driver functions that
// need no context, or that leave the calling thread's context as it was; never a runtime function that could change
// the program's last error. The caller holds the hook guard.
#pragma once

#include <cstdint>

namespace vramtrack::cuda_facts {

/// Versions and devices: note `cuda`.
void write_once() noexcept;

/// Free and total bytes of every device in use: note `memory_info`; `n` is an OOM's number, or 0.
void write_memory(std::uint32_t n) noexcept;

/// The most that graphs held at once on all devices; 0 where the driver cannot be asked.
std::uint64_t graph_peak_bytes() noexcept;

}  // namespace vramtrack::cuda_facts
