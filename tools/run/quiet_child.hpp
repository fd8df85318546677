// Runs a program whose output nobody is to see, as `fit` and `replay` do: in a process group of its own, of which
// nothing is left when it has ended.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace vramtrack::tools {

struct QuietProgram {
  std::vector<std::string> command;
  std::function<void()> set_environment;  // called in the child; what it throws becomes the child's message
  std::filesystem::path messages;         // its stderr goes there
  std::chrono::seconds deadline{600};
};

struct QuietEnd {
  int status = 0;         // as of waitpid()
  bool too_late = false;  // it was ended at its deadline
};

/// SIGINT or SIGTERM came while a program ran; it has been ended.
struct Interrupted {
  int signal;
};

/// Throws Interrupted.
QuietEnd run_quietly(const QuietProgram& program);

/// The last lines of a file, each on a line of its own behind a line break and two blanks; "" when there are none.
std::string last_lines(const std::filesystem::path& path);

}  // namespace vramtrack::tools
