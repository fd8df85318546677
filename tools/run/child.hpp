// Starts the program to trace and waits for it, as a shell would.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace vramtrack::tools {

struct ChildEnd {
  pid_t pid = 0;
  bool signalled = false;
  int code = 0;               // exit code, or the signal's number
  std::uint64_t real_ns = 0;  // when, since the Unix epoch
  int exit_code() const { return signalled ? 128 + code : code; }
};

struct StartFailure {
  int exit_code;  // 127: not found, 126: found but not executable
  std::string message;
};

/// The file that execvp() would run, or "" when there is none.
std::string find_program(const std::string& name);

/// The program that a script's `#!` line names (of `/usr/bin/env python3`: python3), or "" for one that has none.
std::string interpreter_of(const std::string& path);

/// Why LD_PRELOAD cannot work for this command (statically linked, set-uid), or nothing. Follows one `#!` line.
std::optional<std::string> preload_obstacle(const std::string& command);

/// Runs `command` with this process's environment, its standard streams untouched, and waits for its end. Signals
/// sent to this process are passed on; those of the terminal reach both anyway. `idle` is called about four times a
/// second while waiting. On failure to start, `failure` is filled and nothing ran.
ChildEnd run_child(const std::vector<std::string>& command, const std::function<void()>& idle,
                   std::optional<StartFailure>& failure);

}  // namespace vramtrack::tools
