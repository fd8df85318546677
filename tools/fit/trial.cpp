#include "tools/fit/trial.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "contract/reader.hpp"
#include "contract/sim_settings.hpp"
#include "report/load/analyse.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"
#include "tools/formats.hpp"
#include "tools/run/child.hpp"
#include "tools/run/environment.hpp"
#include "tools/run/options.hpp"
#include "tools/run/quiet_child.hpp"
#include "tools/run/simulated.hpp"

namespace vramtrack::tools::fit {
namespace fs = std::filesystem;
namespace {

fs::path stderr_file(const TrialRequest& request) { return request.folder / "stderr"; }

/// In the child: what `vramtrack run` would set, whatever the user's environment says of a traced run.
void set_environment(const TrialRequest& request) {
  RunOptions options;
  options.out = request.folder.string();
  options.sim_compute = request.compute;
  options.quiet = true;
  set_run_environment(options, request.folder, std::to_string(getpid()), true, true);
  for (const auto& [name, value] : sim::sim_environment(request.sim, request.folder / "devices"))
    setenv(name.c_str(), value.c_str(), 1);
  setenv(sim::context_variable, std::to_string(request.context_bytes).c_str(), 1);
  setenv("VRAMTRACK_STOP_AFTER", std::to_string(request.steps).c_str(), 1);
  for (const auto& [name, value] : request.environment) setenv(name.c_str(), value.c_str(), 1);
}

[[noreturn]] void fail(const TrialRequest& request, const std::string& how) {
  std::string lines = last_lines(stderr_file(request));
  const char* const wrote = lines.empty() ? "; it wrote nothing to stderr" : "; the end of what it wrote to stderr:";
  throw TrialFailed(utf8::printable(utf8::joined(request.command)) + ": " + how + wrote, std::move(lines));
}

Bytes peak_of(const trace::TraceFile& trace, trace::Layer layer, std::int16_t device) {
  const trace::Account* account = trace.account(layer, device, trace::Kind::all);
  return account == nullptr ? 0 : account->peak_bytes;
}

/// Whether the last step, the third or a later one, went clearly higher than those before it.
bool rises(const trace::TraceFile& trace, const trace::Account& account) {
  if (account.peak_step < 2 || account.peak_step + 1 < trace.header.steps) return false;
  Bytes before = 0;
  for (const trace::TimelineSeries& series : trace.timelines) {
    const trace::Account& its = trace.accounts[series.account];
    if (its.layer != account.layer || its.kind != account.kind || its.device != account.device) continue;
    for (const trace::TimelinePoint& point : series.points)
      if (point.step < account.peak_step) before = std::max(before, point.live_bytes);
  }
  return before != 0 && before + before / 100 < account.peak_bytes;
}

void add_trace(const trace::TraceFile& trace, Trial& trial, std::map<int, std::pair<Bytes, Bytes>>& devices) {
  for (const trace::Account& account : trace.accounts) {
    if (account.used != 1 || account.kind != static_cast<std::uint8_t>(trace::Kind::all) || account.device < 0)
      continue;
    const bool tensors = account.layer == static_cast<std::uint8_t>(trace::Layer::tensor);
    const Bytes cuda = peak_of(trace, trace::Layer::cuda, account.device);
    const bool has_tensors = peak_of(trace, trace::Layer::tensor, account.device) > 0;
    if (tensors != has_tensors) continue;
    const Bytes reserved = tensors ? account.peak_reserved_bytes : account.peak_bytes;
    auto& [used, needed] = devices[account.device];
    used += std::max(cuda, reserved);
    needed += account.peak_bytes + (cuda > reserved ? cuda - reserved : 0);
    trial.peak_reserved_bytes = std::max(trial.peak_reserved_bytes, reserved);
    if (account.peak_bytes <= trial.peak_live_bytes) continue;
    trial.peak_live_bytes = account.peak_bytes;
    trial.steps = trace.header.steps;
    trial.rising = rises(trace, account);
    trial.roles.clear();
    if (!tensors) continue;
    AnalyseOptions options = analyse_options();
    options.max_allocations = 0;
    options.source_text = false;
    const Report report = analyse(trace, options);
    trial.trains = trial.steps > 0 || std::any_of(report.sites.begin(), report.sites.end(),
                                                  [](const SiteReport& site) { return site.phase == "backward"; });
    for (const BreakdownEntry& entry : report.peak_breakdown) {
      if (entry.device != account.device) continue;
      auto& [bytes, blocks] = trial.roles[entry.role];
      bytes += entry.bytes;
      blocks += entry.blocks;
    }
  }
}

}  // namespace

Trial run_trial(const TrialRequest& request) {
  if (const std::string program = find_program(request.command[0]); program.empty())
    throw TrialFailed(utf8::printable(request.command[0]) + ": command not found");
  const QuietEnd end =
      run_quietly({request.command, [&] { set_environment(request); }, stderr_file(request), request.deadline});
  Trial trial;
  std::map<int, std::pair<Bytes, Bytes>> devices;
  bool any = false;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(request.folder, ignored)) {
    if (entry.path().extension() != ".vtrace") continue;
    const trace::TraceFile trace = trace::read_trace(entry.path().string());
    trial.out_of_memory |= trace.header.ooms > 0;
    any = true;
    if (!trial.out_of_memory) add_trace(trace, trial, devices);
  }
  for (const auto& [device, amount] : devices) {
    trial.used_bytes = std::max(trial.used_bytes, amount.first);
    trial.needed_bytes = std::max(trial.needed_bytes, amount.second);
  }
  if (trial.out_of_memory) return trial;  // whatever the program made of it
  if (end.too_late)
    fail(request, "still ran after " + human_duration(static_cast<double>(request.deadline.count())) +
                      " and was ended; --deadline SECONDS gives it more, --steps fewer steps");
  if (WIFSIGNALED(end.status)) fail(request, "ended by signal " + std::to_string(WTERMSIG(end.status)));
  if (WEXITSTATUS(end.status) != 0)
    fail(request, "exit code " + std::to_string(WEXITSTATUS(end.status)) + ", and memory had not run out");
  if (!any || trial.peak_live_bytes == 0) fail(request, "used no GPU memory");
  return trial;
}

}  // namespace vramtrack::tools::fit
