// What every sub-command shares: its signature, its argument parsing and its way to fail.
// A command returns its exit code, or throws: UsageError (exit 2), anything else derived from std::exception (exit 1,
// printed as one line `error: ...` by main).
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace vramtrack::tools {

using Arguments = std::vector<std::string>;  // what follows the command's name

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What another program wrote, below the one line: `lines` each begin with a line end, and are printable.
struct ErrorWithLines : std::runtime_error {
  explicit ErrorWithLines(const std::string& what, std::string below = "")
      : std::runtime_error(what), lines(std::move(below)) {}
  std::string lines;
};

/// Thrown by parse() after --help was printed: main exits with `code` without another word.
struct Finished {
  int code;
};

/// Runs `app` over the arguments. --help prints and throws Finished; a mistake throws UsageError, naming the nearest
/// option for an unknown one.
void parse(CLI::App& app, const Arguments& arguments);

/// The candidate nearest to `word` in edit distance, or "" when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "24GiB", "512 MB", "1048576" -> bytes. Throws UsageError with the option's name.
std::uint64_t parse_size(const std::string& text, const std::string& name);

/// The folder of libvramtrack.so, found relative to this program.
std::filesystem::path library_folder();

/// Calls write(stream) on the file (written beside it and renamed, so that a reader never sees half a file), or on
/// stdout when `path` is empty or "-". Throws when the file cannot be written.
template <typename Write>
void write_output(const std::string& path, Write write);

struct Command {
  const char* name;
  const char* synopsis;
  int (*run)(const Arguments&);
};
const std::vector<Command>& commands();

#define COMMAND(suffix, name, synopsis) int cmd_##suffix(const Arguments&);
#include "tools/commands.def"
#undef COMMAND

}  // namespace vramtrack::tools

#include "tools/write_output.hpp"
