// vramtrack report and vramtrack flamegraph: one or more inputs, rendered.
#include <unistd.h>

#include <iostream>
#include <set>

#include "report/support/log.hpp"
#include "tools/command.hpp"
#include "tools/formats.hpp"
#include "tools/input_files.hpp"
#include "tools/run/collect.hpp"

namespace vramtrack::tools {
namespace {

struct Options {
  std::vector<std::string> inputs;
  std::set<std::string> running;  // those of inputs that were given as a PID
  std::string format = "text";
  std::string at = "exit";
  std::string output;
  std::string min_size = "0";
  AnalyseOptions analyse = analyse_options();
  render::TextOptions text;
};

void add_common(CLI::App& app, Options& options) {
  app.add_option("--at", options.at, "moment: exit, peak, live, oom or oom:N")->capture_default_str();
  app.add_option("-o,--output", options.output, "file to write (default: standard output)");
  app.add_option("--max-allocations", options.analyse.max_allocations, "live blocks listed one by one")
      ->capture_default_str();
  app.add_option("--min-size", options.min_size, "leave out sites and blocks smaller than this");
}

void finish_common(Options& options) {
  parse_at(options.at, options.analyse);
  options.analyse.min_size = parse_size(options.min_size, "--min-size");
}

/// A number is a running process: its trace, as it is now. Of one that has started others, its own.
void name_traces(Options& options) {
  for (std::string& input : options.inputs)
    if (const auto pid = process_number(input)) {
      input = traces_of(*pid).front();
      options.running.insert(input);
    }
}

Report load_input(const std::string& input, const Options& options) {
  AnalyseOptions analyse = options.analyse;
  if (options.running.contains(input)) analyse.at = "live";
  return load(input, analyse);
}

/// As the launcher does: NAME.json, and beside it NAME.oom-1.json, ...
void write_ooms(const Report& report, const std::string& input, const Options& options) {
  for (const OomReport& oom : report.ooms) {
    AnalyseOptions moment = options.analyse;
    moment.at = "oom";
    moment.oom = oom.n;
    const Report then = load(input, moment);
    std::filesystem::path path = options.output;
    path.replace_extension(".oom-" + std::to_string(oom.n) + ".json");
    files::replace_file(path.string(), [&](std::ostream& out) { render::json(then, out); });
  }
}

}  // namespace

int cmd_report(const Arguments& arguments) {
  Options options;
  options.text = text_options(STDOUT_FILENO);
  CLI::App app("Renders a trace (.vtrace) or a report (.json).", "vramtrack report");
  app.add_option("INPUT", options.inputs,
                 "trace, report or running process (PID); several are rendered one after the other")
      ->required();
  app.add_option("--format", options.format, format_names())->capture_default_str();
  add_common(app, options);
  app.add_option("--top", options.text.top, "text: rows of the table")->capture_default_str();
  app.add_option("--sort", options.text.sort, "text: bytes, count, peak or growth")
      ->check(CLI::IsMember({"bytes", "count", "peak", "growth"}));
  app.add_option("--filter", options.text.filter,
                 "text: only sites whose file, function, module or owner contains this");
  app.add_option("--group-by", options.text.group_by, "text: site, module, owner, role or file")
      ->check(CLI::IsMember({"site", "module", "owner", "role", "file"}));
  app.add_option("--width", options.text.width, "text: columns")->check(CLI::Range(40, 1000));
  bool html = false;
  app.add_flag("--html", html, "same as --format html");
  bool ooms = false;
  app.add_flag("--ooms", ooms,
               "also write the report of each out-of-memory event, beside -o FILE.json: FILE.oom-N.json");
  std::string fail_on_leak;
  app.add_option("--fail-on-leak", fail_on_leak, "exit with 77 when a growing site holds at least this much");
  parse(app, arguments);
  if (ooms && (options.output.empty() || options.output == "-" || options.inputs.size() > 1))
    throw UsageError("--ooms needs one input and -o FILE");
  const std::uint64_t leak_bytes = fail_on_leak.empty() ? 0 : parse_size(fail_on_leak, "--fail-on-leak");
  bool leaking = false;
  if (html) options.format = "html";
  const Format& format = find_format(options.format);
  finish_common(options);
  options.analyse.page = options.format == "html";
  if (options.inputs.size() > 1 && options.format != "text") {
    throw UsageError("--format " + options.format + " takes one input; join several with `vramtrack merge`");
  }
  name_traces(options);
  const auto write = [&](std::ostream& out) {
    for (const std::string& input : options.inputs) {
      const Report report = load_input(input, options);
      if (ooms) write_ooms(report, input, options);
      leaking = leaking || (!fail_on_leak.empty() && leaks(report, leak_bytes));
      const log::Step step("write " + options.format);
      if (format.render == nullptr) {
        if (!options.output.empty() && options.output != "-") options.text.colour = false;
        render::text(report, out, options.text);
      } else {
        format.render(report, out);
      }
    }
  };
  if (ooms)  // a traced program ends with this: it must not wait for a pipe that somebody put there
    files::replace_file(options.output, write);
  else
    write_output(options.output, write);
  if (!leaking) return 0;
  std::cerr << leak_message(leak_bytes) << '\n';
  return exit_leak;
}

int cmd_flamegraph(const Arguments& arguments) {
  Options options;
  std::string input;
  CLI::App app("Writes the self-contained report page, opened at its flame graph.", "vramtrack flamegraph");
  app.add_option("INPUT", input, "trace or report")->required();
  add_common(app, options);
  parse(app, arguments);
  finish_common(options);
  options.analyse.page = true;
  const Report report = load(input, options.analyse);
  write_output(options.output, [&](std::ostream& out) { render::flamegraph(report, out); });
  return 0;
}

}  // namespace vramtrack::tools
