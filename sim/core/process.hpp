// Whether a process is the one that it was: pids are used again.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace vramtrack::sim {

/// Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 when it is gone or a zombie.
std::uint64_t process_start_time(pid_t pid);

}  // namespace vramtrack::sim
