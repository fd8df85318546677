// The options of `vramtrack run` (contract/options.def): from the environment, then the command line; handed on to the
// traced process in its environment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/command.hpp"

namespace vramtrack::tools {

struct RunOptions {
  using Flag = bool;
  using Size = std::uint64_t;
  using SizeOrNone = std::string;  // "" or a size as it was written
  using Text = std::string;
  using Count = unsigned;
#define OPTION(type, member, names, bare, variable, fallback, reader, help) type member = fallback;
#include "contract/options.def"
#undef OPTION
  std::vector<std::string> command;
};

/// Reads `[OPTION...] [--] CMD ARGS...`. Throws UsageError.
RunOptions parse_run_options(const Arguments& arguments);

/// Sets the variable of every option that the traced process reads.
void export_options(const RunOptions& options);

}  // namespace vramtrack::tools
