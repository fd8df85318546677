// Finds the processes that hold a GPU now, by every sign there is: the driver's list, open device files, a mapped
// trace, memory of the simulated GPU. Says which of them were left behind.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/proc_files.hpp"

namespace vramtrack::tools {

struct GpuHolder {
  ProcessInfo process;
  bool visible = true;                 // false: the driver names a process that /proc does not show
  std::vector<std::string> devices;    // "gpu 0", "/dev/nvidia0", "simulated"
  std::optional<std::uint64_t> bytes;  // by the driver, else by the trace
  std::string trace;                   // path of its trace, "" when it is not traced
  std::string leftover;                // why it looks left behind; "" when it does not
};

/// By pid.
std::vector<GpuHolder> find_gpu_holders();

}  // namespace vramtrack::tools
