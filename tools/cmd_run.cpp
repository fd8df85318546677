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
#include <tuple>

#include "report/findings/run_findings.hpp"
#include "report/render/render.hpp"
#include "report/support/log.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"
#include "tools/formats.hpp"
#include "tools/run/child.hpp"
#include "tools/run/collect.hpp"
#include "tools/run/environment.hpp"
#include "tools/run/options.hpp"

namespace vramtrack::tools {
namespace fs = std::filesystem;
namespace {

/// Under a simulated run that failed or had to be stopped.
constexpr const char* values_hint =
    "vramtrack: the program read values that the simulated GPU does not compute and that are zero there; if it failed,"
    " or did not end, because of them, run it with --sim-compute\n";

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

/// The process to show first: one that has a problem before one that only held more.
std::tuple<int, Bytes, Bytes> weight(const Report& report) {
  int worst = 0;
  Bytes bytes = 0;
  for (const Finding& finding : report.findings) {
    const int here = finding.severity == "error" ? 2 : finding.severity == "warning" ? 1 : 0;
    if (here > worst) bytes = 0;
    worst = std::max(worst, here);
    if (here == worst && here > 0) bytes = std::max(bytes, finding.bytes);
  }
  return {worst, bytes, peak_bytes(report)};
}

void print_other(const Collected& other) {
  const Report& report = other.report;
  std::string who = "pid " + std::to_string(report.process.pid);
  if (report.process.rank) who += ", rank " + std::to_string(*report.process.rank);
  const std::string command = utf8::joined(report.process.command);
  if (!command.empty()) who += ", " + utf8::shorten_middle(utf8::printable(command), 60);
  const Bytes peak = peak_bytes(report);
  std::cerr << "also traced: " << who << (peak == 0 ? ", no allocation" : ", peak " + human_bytes(peak)) << ", "
            << other.path.string() << '\n';
  for (const Finding& finding : report.findings) {
    if (finding.severity == "info" && finding.code != "idle-context") continue;
    std::cerr << "  " << finding.code;
    if (finding.file && finding.line)
      std::cerr << "  " << utf8::printable(fs::path(*finding.file).filename().string()) << ':' << *finding.line;
    std::cerr << ": " << utf8::printable(finding.title) << '\n';
  }
}

/// A worker that lost its parent, or a daemon that has yet to allocate.
void print_leftovers(const std::vector<findings::Leftover>& leftovers) {
  constexpr std::size_t most = 5;
  for (std::size_t i = 0; i < leftovers.size() && i < most; ++i)
    std::cerr << "still running: pid " << leftovers[i].pid << ", " << utf8::printable(leftovers[i].command) << '\n';
  if (leftovers.size() > most) std::cerr << "still running: " << leftovers.size() - most << " more\n";
  if (!leftovers.empty())
    std::cerr << "what they hold or allocate from now on is reported at their own end, in a file beside their trace\n";
}

void print_summary(const std::vector<Collected>& collected, const fs::path& folder,
                   const std::vector<findings::Leftover>& leftovers, const RunOptions& options) {
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
    // Where recording could not start, the process has said so.
    std::cerr << "vramtrack: no CUDA memory was recorded; nothing to report\n";
    print_leftovers(leftovers);
    return;
  }
  const auto main_report =
      std::max_element(collected.begin(), collected.end(),
                       [](const Collected& a, const Collected& b) { return weight(a.report) < weight(b.report); });
  render::TextOptions text = text_options(STDERR_FILENO);
  text.top = 10;
  const fs::path here = main_report->path.lexically_relative(fs::current_path(ignored));
  text.report_path = here.empty() || *here.begin() == ".." ? main_report->path.string() : here.string();
  render::text(main_report->report, std::cerr, text);
  for (const Collected& other : collected)
    if (&other != &*main_report) print_other(other);
  print_leftovers(leftovers);
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
  const RunOptions options = parse_run_options(arguments);
  AnalyseOptions analyse = analyse_options();
  analyse.min_size = options.min_size;
  bool traced = !options.no_trace, simulated = !options.sim.empty();
  std::error_code error;
  const std::string wanted = options.out.empty() ? RunOptions().out : options.out;  // -o "$unset"
  const fs::path folder = fs::absolute(wanted, error);
  if (error && traced) {
    std::cerr << "vramtrack: the working folder is gone, and " << wanted
              << " would be in it; the program runs untraced. Choose a folder with an absolute path: -o /tmp/traces\n";
    traced = false;
  }
  if (const auto obstacle = preload_obstacle(options.command[0])) {
    const bool starts_without_us = obstacle->find("glibc") == std::string::npos;
    std::cerr << "vramtrack: " << *obstacle << ": nothing can be preloaded into it; it runs untraced"
              << (starts_without_us ? " (programs that it starts are still traced)" : "") << '\n';
    if (!starts_without_us) traced = simulated = false;  // its loader would end it over a library that it cannot load
  }
  const std::string run_id = std::to_string(getpid()) + "-" + std::to_string(time(nullptr));
  std::optional<SimulatedDevices> devices;
  if (!options.sim.empty()) devices.emplace(options.sim);
  if (traced) traced = make_folder(folder);
  set_run_environment(options, folder, run_id, traced, simulated);

  Collector collector(folder, analyse);
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
  const bool values_matter =
      devices && !options.sim_compute && end.exit_code() != 0 && devices->unknown_values_were_read();
  if (!traced) {
    if (values_matter && !options.quiet) std::cerr << values_hint;
    return end.exit_code();
  }
  // A closed stderr or a limit on file sizes must not change the exit code; the child had what we were given.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  log::open(options.verbose);  // not before: a log that nobody reads must not end the launcher by a signal
  const std::vector<findings::Leftover> leftovers = wait_for_leftovers(run_id);
  const std::vector<Collected> collected = collector.finish(end, leftovers);
  print_summary(collected, folder, leftovers, options);
  const auto out_of_memory = [](const Collected& one) { return !one.report.ooms.empty(); };
  if (values_matter && !options.quiet && std::none_of(collected.begin(), collected.end(), out_of_memory)) {
    std::cerr << values_hint;
  }
  const bool leaks_fail = !options.fail_on_leak.empty();
  const Bytes leak_bytes = leaks_fail ? parse_size(options.fail_on_leak, "--fail-on-leak") : 0;
  const auto leaking = [&](const Collected& traced_one) { return leaks(traced_one.report, leak_bytes); };
  if (leaks_fail && end.exit_code() == 0 && std::any_of(collected.begin(), collected.end(), leaking)) {
    std::cerr << leak_message(leak_bytes) << '\n';
    return exit_leak;
  }
  return end.exit_code();
}

}  // namespace vramtrack::tools
