// vramtrack run: starts a program with libvramtrack.so preloaded, waits for its end and writes the reports.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <thread>

#include "report/findings/run_findings.hpp"
#include "report/render/render.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"
#include "tools/formats.hpp"
#include "tools/run/child.hpp"
#include "tools/run/collect.hpp"
#include "tools/run/environment.hpp"

namespace vramtrack::tools {
namespace fs = std::filesystem;
namespace {

struct Options {
  std::string output = "vramtrack-out";
  std::string sim, min_size = "0", fail_on_leak;
  bool no_trace = false, history = false, no_python = false, no_native = false, no_agent = false, cupti = false,
       audit = false, quiet = false;
  std::uint64_t leak_bytes = 0;
  std::vector<std::string> command;
};

/// Splits `run OPTIONS [--] CMD ARGS`: the command begins after `--`, or at the first word that is no option.
Arguments split_command(const Arguments& arguments, std::vector<std::string>& command) {
  Arguments options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    const bool ends = word == "--";
    if (ends || !word.starts_with("-")) {
      command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(i + (ends ? 1 : 0)), arguments.end());
      break;
    }
    // An optional value is written with `=`, so that the command's name is never taken for it.
    if (word == "--sim") {
      options.push_back("--sim=80GiB");
    } else if (word == "--fail-on-leak") {
      options.push_back("--fail-on-leak=1");
    } else {
      options.push_back(word);
      const bool takes_value = word == "-o" || word == "--output" || word == "--min-size";
      if (takes_value && i + 1 < arguments.size()) options.push_back(arguments[++i]);
    }
  }
  return options;
}

Options parse_options(const Arguments& arguments) {
  Options options;
  CLI::App app("Runs CMD traced. Its exit code, output and signals stay its own.", "vramtrack run");
  app.footer(
      "Written as: vramtrack run [OPTION...] -- CMD ARGS...\n"
      "Reports: DIR/vramtrack-<pid>.json, and .oom-<N>.json for each out-of-memory event.\n"
      "Exit code: CMD's; 128+N if signal N ended it; 77 with --fail-on-leak and a leak.");
  const auto flag = [&](const char* name, bool& value, const char* help, const char* variable) {
    app.add_flag(name, value, help)->envname(variable);
  };
  app.add_option("-o,--output", options.output, "folder of traces and reports")
      ->envname("VRAMTRACK_OUT")
      ->capture_default_str()
      ->take_last();
  app.add_option("--sim", options.sim, "use the simulated GPU: --sim, --sim=24GiB, --sim=2x24GiB")
      ->envname("VRAMTRACK_SIM")
      ->take_last();
  flag("--no-trace", options.no_trace, "with --sim: only the simulated GPU, nothing recorded", "VRAMTRACK_NO_TRACE");
  flag("--history", options.history, "also log every allocation and free", "VRAMTRACK_HISTORY");
  flag("--no-python", options.no_python, "record no Python stacks", "VRAMTRACK_NO_PYTHON");
  flag("--no-native", options.no_native, "record no native stacks", "VRAMTRACK_NO_NATIVE");
  flag("--no-agent", options.no_agent, "run no code in the Python interpreter", "VRAMTRACK_NO_AGENT");
  flag("--cupti", options.cupti, "take events from CUPTI callbacks too", "VRAMTRACK_CUPTI");
  flag("--audit", options.audit, "compare the hooks with CUPTI's records", "VRAMTRACK_AUDIT");
  app.add_option("--fail-on-leak", options.fail_on_leak, "exit 77 when a growing site holds at least this at the end")
      ->envname("VRAMTRACK_FAIL_ON_LEAK")
      ->take_last();
  app.add_option("--min-size", options.min_size, "leave out sites and blocks smaller than this")
      ->envname("VRAMTRACK_MIN_SIZE")
      ->take_last();
  flag("--quiet", options.quiet, "print no summary", "VRAMTRACK_QUIET");
  parse(app, split_command(arguments, options.command));
  if (options.command.empty()) throw UsageError("no command given: vramtrack run [OPTION...] -- CMD ARGS...");
  if (!options.fail_on_leak.empty()) options.leak_bytes = parse_size(options.fail_on_leak, "--fail-on-leak");
  if (options.no_trace && options.sim.empty()) throw UsageError("--no-trace only makes sense with --sim");
  return options;
}

void set_flag(const char* name, bool value) {
  if (value) setenv(name, "1", 1);
}

/// The environment that makes the traced program load us.
void prepare_environment(const Options& options, const fs::path& folder, const std::string& run_id, bool traced) {
  set_preload(traced, !options.sim.empty());
  setenv("VRAMTRACK_LAUNCHED", "1", 1);
  setenv("VRAMTRACK_RUN_ID", run_id.c_str(), 1);
  setenv("VRAMTRACK_OUT", folder.c_str(), 1);
  setenv("VRAMTRACK_MIN_SIZE", options.min_size.c_str(), 1);
  set_flag("VRAMTRACK_HISTORY", options.history);
  set_flag("VRAMTRACK_NO_PYTHON", options.no_python);
  set_flag("VRAMTRACK_NO_NATIVE", options.no_native);
  set_flag("VRAMTRACK_NO_AGENT", options.no_agent);
  set_flag("VRAMTRACK_CUPTI", options.cupti);
  set_flag("VRAMTRACK_AUDIT", options.audit);
  set_flag("VRAMTRACK_QUIET", options.quiet);
}

/// Makes the output folder. False, with one line on stderr, when it cannot hold files: the program then runs untraced.
bool make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || access(folder.c_str(), W_OK | X_OK) != 0) {
    std::cerr << "vramtrack: " << folder.string() << ": cannot write there ("
              << (error ? error.message() : "no permission")
              << "); the program runs untraced. Choose another folder with -o\n";
    return false;
  }
  return true;
}

Bytes peak_bytes(const Report& report) {
  Bytes most = 0;
  for (const Total& total : report.totals) most = std::max(most, total.peak_bytes);
  return most;
}

void print_summary(const std::vector<Collected>& collected, const fs::path& folder, const Options& options) {
  if (options.quiet) return;
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    std::cerr << "vramtrack: " << folder.string() << ": the output folder was removed during the run, and its traces"
              << " with it; there is no report\n";
    return;
  }
  if (collected.empty()) {
    if (const fs::space_info space = fs::space(folder, ignored); !ignored && space.available == 0) {
      std::cerr << "vramtrack: " << folder.string() << ": the file system is full; there is no trace to report."
                << " Choose another folder with -o\n";
      return;
    }
    std::cerr << "vramtrack: no CUDA memory was allocated; nothing to report\n";
    return;
  }
  const auto main_report = std::max_element(
      collected.begin(), collected.end(),
      [](const Collected& a, const Collected& b) { return peak_bytes(a.report) < peak_bytes(b.report); });
  render::TextOptions text = text_options(STDERR_FILENO);
  text.top = 10;
  const fs::path here = main_report->path.lexically_relative(fs::current_path());
  text.report_path = here.empty() || *here.begin() == ".." ? main_report->path.string() : here.string();
  render::text(main_report->report, std::cerr, text);
  for (const Collected& other : collected) {
    if (&other == &*main_report) continue;
    std::cerr << "also traced: pid " << other.report.process.pid << ", " << other.path.string() << '\n';
    for (const Finding& finding : other.report.findings) {
      if (finding.severity != "info")
        std::cerr << "  " << finding.code << ": " << utf8::printable(finding.title) << '\n';
    }
  }
}

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Processes of the run that are still there. Those that are just ending (workers that saw their parent go) get a
/// second for it.
std::vector<findings::Leftover> wait_for_leftovers(const std::string& run_id) {
  std::vector<findings::Leftover> found = findings::leftover_processes(run_id);
  for (int tries = 0; !found.empty() && tries < 20; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    found = findings::leftover_processes(run_id);
  }
  return found;
}

}  // namespace

int cmd_run(const Arguments& arguments) {
  const Options options = parse_options(arguments);
  AnalyseOptions analyse = analyse_options();
  analyse.min_size = parse_size(options.min_size, "--min-size");
  const fs::path folder = fs::absolute(options.output);
  bool traced = !options.no_trace;
  if (const auto obstacle = preload_obstacle(options.command[0])) {
    std::cerr << "vramtrack: " << *obstacle << ": nothing can be preloaded into it; it runs untraced"
              << " (programs that it starts are still traced)\n";
  }
  const std::string run_id = std::to_string(getpid()) + "-" + std::to_string(time(nullptr));
  std::optional<SimulatedDevices> devices;
  if (!options.sim.empty()) devices.emplace(options.sim, run_id);
  if (traced) traced = make_folder(folder);
  prepare_environment(options, folder, run_id, traced);

  Collector collector(folder, now_ns(), analyse);
  std::optional<StartFailure> failure;
  const ChildEnd end = run_child(
      options.command,
      [&] {
        if (traced) collector.poll();
      },
      failure);
  if (failure) {
    std::cerr << "error: " << failure->message << '\n';
    return failure->exit_code;
  }
  if (!traced) return end.exit_code();
  // A closed stderr or a limit on file sizes must not change the exit code; the child had what we were given.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  const std::vector<findings::Leftover> leftovers = wait_for_leftovers(run_id);
  const std::vector<Collected> collected = collector.finish(end, leftovers);
  print_summary(collected, folder, options);
  const auto leaking = [&](const Collected& one) { return leaks(one.report, options.leak_bytes); };
  if (!options.fail_on_leak.empty() && end.exit_code() == 0 &&
      std::any_of(collected.begin(), collected.end(), leaking)) {
    std::cerr << leak_message(options.leak_bytes) << '\n';
    return exit_leak;
  }
  return end.exit_code();
}

}  // namespace vramtrack::tools
