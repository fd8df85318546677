// Who uses the GPUs, as the driver tells it. NVML is looked for at run time: without a driver there is just nothing.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace vramtrack::tools {

struct GpuUse {
  pid_t pid = 0;
  unsigned device = 0;
  std::optional<std::uint64_t> bytes;  // unknown where the driver does not account by process
};

/// Compute and graphics processes of all GPUs; empty without NVML.
std::vector<GpuUse> gpu_processes();

}  // namespace vramtrack::tools
