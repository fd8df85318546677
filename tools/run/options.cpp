#include "tools/run/options.hpp"

#include <cstdlib>
#include <string_view>

#include "contract/option_parse.hpp"

namespace vramtrack::tools {
namespace {

// The names of this table's columns in C++.
enum class Type { Flag, Size, SizeOrNone, Text, Count };
enum class Reader { host, tools, both };

struct Row {
  Type type;
  std::string_view names;  // "-o,--output"
  std::string_view bare;
};
constexpr Row rows[] = {
#define OPTION(type, member, names, bare, variable, fallback, reader, help) {Type::type, names, bare},
#include "contract/options.def"
#undef OPTION
};

bool has_name(const Row& row, std::string_view name) {
  const std::size_t at = row.names.find(name);
  return at != row.names.npos && (at == 0 || row.names[at - 1] == ',') &&
         (at + name.size() == row.names.size() || row.names[at + name.size()] == ',');
}

/// The command begins after `--`, or at the first word that is no option. The optional value of an option is written
/// with `=`, so that the command's name is never taken for it; here the option that stands alone gets it.
Arguments split_command(const Arguments& arguments, std::vector<std::string>& command) {
  Arguments options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string word = arguments[i];
    const bool ends = word == "--";
    if (ends || !word.starts_with("-")) {
      command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i + (ends ? 1 : 0)), arguments.end());
      break;
    }
    bool takes_next = false;
    for (const Row& row : rows) {
      if (!has_name(row, word)) continue;
      takes_next = row.type != Type::Flag && row.type != Type::Count && row.bare.empty();
      if (!row.bare.empty()) word.append("=").append(row.bare);
      break;
    }
    options.push_back(word);
    if (takes_next && i + 1 < arguments.size()) options.push_back(arguments[++i]);
  }
  return options;
}

void read_Flag(bool& option, const std::string&, const std::string& text) { option = option::parse_flag(text); }

void read_Count(unsigned& option, const std::string&, const std::string& text) { option = option::parse_count(text); }

void read_Text(std::string& option, const std::string&, const std::string& text) {
  if (!text.empty()) option = text;
}

void read_Size(std::uint64_t& option, const std::string& name, const std::string& text) {
  if (!text.empty()) option = parse_size(text, name);
}

void read_SizeOrNone(std::string& option, const std::string& name, const std::string& text) {
  if (!text.empty()) parse_size(text, name);
  option = text;
}

void check_world(const RunOptions& options) {
  constexpr std::uint64_t most = 1'000'000;
  if (options.sim_world > most) throw UsageError("--sim-world: at most " + std::to_string(most) + " ranks");
  if (options.sim_rank != 0 && options.sim_rank >= options.sim_world)
    throw UsageError("--sim-rank: not a rank below --sim-world, " + std::to_string(options.sim_world));
  if (options.sim_world == 0) return;
  for (const std::string& word : options.command) {
    const std::string_view name = std::string_view(word).substr(word.rfind('/') + 1);
    if (name == "torchrun" || name == "torch.distributed.run" || name == "torch.distributed.launch")
      throw UsageError("--sim-world plays one rank, and " + std::string(name) +
                       " starts several: run the script itself, vramtrack run --sim-world N -- python train.py");
  }
}

/// `names`: of the command line. `value` is what the environment said.
void add(CLI::App& app, const char* names, bool& value, const char* help) { app.add_flag(names, value, help); }

void add(CLI::App& app, const char* names, unsigned& count, const char* help) {
  app.add_flag_function(
      names, [&count](std::int64_t given) { count = static_cast<unsigned>(given); }, help);
}

template <typename Read>
void add(CLI::App& app, const char* names, Read read, const char* help, const std::string& shown) {
  const std::string name = std::string(names).substr(std::string_view(names).rfind("--"));
  CLI::Option* option = app.add_option_function<std::string>(
      names, [=](const std::string& text) { read(name, text); }, help);
  option->take_last();
  if (!shown.empty()) option->default_str(shown);
}

std::string shown(const std::string& value) { return value; }
std::string shown(std::uint64_t value) { return value == 0 ? "" : std::to_string(value); }

std::string exported(unsigned value) { return std::to_string(value); }
std::string exported(bool value) { return value ? "1" : ""; }
std::string exported(const std::string& value) { return value; }
std::string exported(std::uint64_t value) { return std::to_string(value); }

}  // namespace

RunOptions parse_run_options(const Arguments& arguments) {
  RunOptions options;
#define OPTION(type, member, names, bare, variable, fallback, reader, help)     \
  if (const char* text = std::getenv(variable); text != nullptr && *names != 0) \
    read_##type(options.member, variable, text);
#include "contract/options.def"
#undef OPTION
  CLI::App app("Runs CMD and traces it. Exit code, output and signals remain those of CMD.", "vramtrack run");
  app.footer(
      "Written as: vramtrack run [OPTION...] -- CMD ARGS...\n"
      "Each option has a variable, VRAMTRACK_HISTORY=1 for --history, which also works with a bare LD_PRELOAD.\n"
      "Reports: DIR/vramtrack-<pid>.json, and .oom-<N>.json for each out-of-memory event.\n"
      "Exit code: CMD's; 128+N if signal N ended it; 77 with --fail-on-leak and a leak.");
#define ADD_Flag(member, names, help) add(app, names, options.member, help)
#define ADD_Count(member, names, help) add(app, names, options.member, help)
#define ADD_VALUE(type, member, names, help)                                                                          \
  add(                                                                                                                \
      app, names, [&](const std::string& name, const std::string& text) { read_##type(options.member, name, text); }, \
      help, shown(options.member))
#define ADD_Text(member, names, help) ADD_VALUE(Text, member, names, help)
#define ADD_Size(member, names, help) ADD_VALUE(Size, member, names, help)
#define ADD_SizeOrNone(member, names, help) ADD_VALUE(SizeOrNone, member, names, help)
#define OPTION(type, member, names, bare, variable, fallback, reader, help) \
  if (*names != 0) ADD_##type(member, names, help);
#include "contract/options.def"
#undef OPTION
#undef ADD_Flag
#undef ADD_Count
#undef ADD_VALUE
#undef ADD_Text
#undef ADD_Size
#undef ADD_SizeOrNone
  parse(app, split_command(arguments, options.command));
  if (options.command.empty()) throw UsageError("no command given: vramtrack run [OPTION...] -- CMD ARGS...");
  if ((options.sim_compute || options.sim_world != 0) && options.sim.empty()) options.sim = "80GiB";
  if (options.no_trace && options.sim.empty()) throw UsageError("--no-trace only makes sense with --sim");
  check_world(options);
  return options;
}

void export_options(const RunOptions& options) {
  // What has no option is set by whoever wants it, and stays as it is. --sim's variable is set with its state file.
#define OPTION(type, member, names, bare, variable, fallback, reader, help)                 \
  if (Reader::reader != Reader::tools && *names != 0 && std::string_view(names) != "--sim") \
    setenv(variable, exported(options.member).c_str(), 1);
#include "contract/options.def"
#undef OPTION
}

}  // namespace vramtrack::tools
