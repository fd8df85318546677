// What /proc tells about other processes. Everything is a snapshot: a process may be gone at the next call, so no
// function here throws for that; the result is empty instead.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace vramtrack::tools {

struct ProcessInfo {
  pid_t pid = 0, ppid = 0, group = 0;
  char state = '?';  // R running, S sleeping, T stopped, Z zombie, ...
  uid_t uid = 0;
  std::string command;                 // arguments joined by blanks; [name] where there are none
  unsigned long long start_ticks = 0;  // since boot: tells a pid from an earlier process with the same number
};

std::vector<pid_t> all_pids();
std::optional<ProcessInfo> process_info(pid_t pid);

/// Files mapped by a process whose path ends in `suffix`, without those that were deleted. Paths as this process can
/// open them (through /proc/PID/root where the other one lives in another file system).
std::vector<std::string> mapped_files(pid_t pid, const std::string& suffix);

/// Whether the process has memory of a file without a path (memfd_create) mapped that was given this name.
bool maps_memory_file(pid_t pid, const std::string& name);

/// The files under /dev that the process holds open and whose name starts with `prefix`, each once.
std::vector<std::string> open_devices(pid_t pid, const std::string& prefix);

/// `root` and everything that it started, directly or not, while their parents still live.
std::vector<pid_t> process_tree(pid_t root);

}  // namespace vramtrack::tools
