#include "tools/command.hpp"

#include <sys/auxv.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "contract/option_parse.hpp"
#include "report/support/log.hpp"

namespace vramtrack::tools {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, diagonal + 1, row[j] + 1});
    }
  }
  return row.back();
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

/// The rows of contract/options.def, by their members' names.
namespace rows {
struct Row {
  const char *names, *variable, *help;
};
#define OPTION(type, member, names, bare, variable, fallback, reader, help) \
  [[maybe_unused]] constexpr Row member{names, variable, help};
#include "contract/options.def"
#undef OPTION
}  // namespace rows

void parse(CLI::App& app, const Arguments& arguments) {
  app.allow_extras();
  // Of `run` it is an option like the others, and its log begins later.
  unsigned verbosity = 0;
  const bool has_own = app.get_option_no_throw("--verbose") != nullptr;
  if (!has_own) {
    if (const char* text = std::getenv(rows::verbose.variable)) verbosity = option::parse_count(text);
    app.add_flag_function(
        rows::verbose.names, [&](std::int64_t given) { verbosity = static_cast<unsigned>(given); }, rows::verbose.help);
  }
  try {
    app.parse(Arguments(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last first
  } catch (const CLI::Success& help) {
    throw Finished{app.exit(help)};
  } catch (const CLI::ParseError& mistake) {
    throw UsageError(std::string(mistake.what()) + "; see `" + app.get_name() + " --help`");
  }
  for (const std::string& extra : app.remaining()) {
    if (extra == "--") continue;
    std::string message = extra.starts_with("-") ? "unknown option " + extra : "unexpected argument " + extra;
    const std::string near = nearest(extra.substr(0, extra.find('=')), option_names(app));
    if (extra.starts_with("-") && !near.empty()) message += "; did you mean " + near + "?";
    throw UsageError(message + " (see `" + app.get_name() + " --help`)");
  }
  log::open(verbosity);
}

std::uint64_t parse_size(const std::string& text, const std::string& name) {
  std::uint64_t bytes = 0;
  if (!option::parse_size(text, bytes))
    throw UsageError(name + "=" + text + ": not a size; write for example 24GiB, 1.5MiB or 1048576");
  return bytes;
}

std::filesystem::path library_folder() {
  std::error_code no_proc;
  auto program = std::filesystem::read_symlink("/proc/self/exe", no_proc);
  if (no_proc) program = reinterpret_cast<const char*>(getauxval(AT_EXECFN));  // as it was started
  return program.parent_path().parent_path() / "lib";
}

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
#define COMMAND(suffix, name, synopsis) {name, synopsis, &cmd_##suffix},
#include "tools/commands.def"
#undef COMMAND
  };
  return table;
}

}  // namespace vramtrack::tools
