#include "tools/fit/trial.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>

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
#include "tools/run/simulated.hpp"

namespace vramtrack::tools::fit {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

/// How the program ended, and whether we had to end it.
struct End {
  int status = 0;
  bool too_late = false;
};

fs::path stderr_file(const TrialRequest& request) { return request.folder / "stderr"; }

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return utf8::printable(text);
}

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

[[noreturn]] void become(const TrialRequest& request, pid_t parent, const sigset_t& mask) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  setpgid(0, 0);
  const int nothing = open("/dev/null", O_RDWR);
  const int messages = open(stderr_file(request).c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (nothing < 0 || messages < 0) _exit(125);
  dup2(nothing, STDIN_FILENO);
  dup2(nothing, STDOUT_FILENO);
  dup2(messages, STDERR_FILENO);
  close(nothing);
  close(messages);
  try {
    set_environment(request);
  } catch (const std::exception& error) {
    dprintf(STDERR_FILENO, "%s\n", error.what());
    _exit(125);
  }
  std::vector<char*> arguments;
  for (const std::string& word : request.command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  for (const int number : {SIGPIPE, SIGXFSZ, SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGCHLD}) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execvp(arguments[0], arguments.data());
  dprintf(STDERR_FILENO, "%s: %s\n", arguments[0], std::strerror(errno));
  _exit(errno == ENOENT ? 127 : 126);
}

/// Blocks the signals that end us while a program runs, so that none of its processes is left behind.
class SignalsWait {
 public:
  SignalsWait() {
    sigemptyset(&waited_);
    for (const int number : {SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGQUIT}) sigaddset(&waited_, number);
    sigprocmask(SIG_BLOCK, &waited_, &before_);
    // Where it is ignored, the child's end would go unnoticed.
    struct sigaction as_usual {};
    as_usual.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &as_usual, &on_child_);
  }
  ~SignalsWait() {
    sigaction(SIGCHLD, &on_child_, nullptr);
    sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;

  const sigset_t& before() const { return before_; }

  /// The next signal, or 0 after a tenth of a second.
  int next() const {
    const timespec tenth{0, 100'000'000};
    const int number = sigtimedwait(&waited_, nullptr, &tenth);
    return number < 0 ? 0 : number;
  }

 private:
  sigset_t waited_, before_;
  struct sigaction on_child_ {};
};

/// False: it has not ended by then.
bool ended_until(pid_t pid, Clock::time_point when, int& status, const SignalsWait& signals) {
  while (waitpid(pid, &status, WNOHANG) != pid) {
    if (Clock::now() >= when) return false;
    signals.next();
  }
  return true;
}

End run(const TrialRequest& request) {
  const SignalsWait signals;
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(request, parent, signals.before());
  if (pid < 0) throw std::runtime_error(std::string("cannot start a process: ") + std::strerror(errno));
  setpgid(pid, pid);  // whoever of the two is first
  const Clock::time_point late = Clock::now() + request.deadline;
  End end;
  int interrupted = 0;
  while (waitpid(pid, &end.status, WNOHANG) != pid) {
    const int number = signals.next();
    end.too_late = Clock::now() >= late;
    if (number != 0 && number != SIGCHLD) interrupted = number;
    if (!end.too_late && interrupted == 0) continue;
    kill(-pid, SIGTERM);
    if (!ended_until(pid, Clock::now() + std::chrono::seconds(2), end.status, signals)) {
      kill(-pid, SIGKILL);
      ended_until(pid, Clock::time_point::max(), end.status, signals);
    }
    break;
  }
  kill(-pid, SIGKILL);  // workers that the program left, as it does when it is ended after its last step
  if (interrupted != 0) throw Interrupted{interrupted};
  return end;
}

std::string last_lines(const fs::path& path) {
  constexpr std::size_t most = 12;
  std::ifstream file(path, std::ios::binary);
  std::deque<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) continue;
    lines.push_back(utf8::printable(utf8::sanitise(utf8::prefix(line, 400))));
    if (lines.size() > most) lines.pop_front();
  }
  std::string text;
  for (const std::string& line : lines) text += "\n  " + line;
  return text;
}

[[noreturn]] void fail(const TrialRequest& request, const std::string& how) {
  std::string lines = last_lines(stderr_file(request));
  throw TrialFailed(joined(request.command) + ": " + how +
                    (lines.empty() ? "; it wrote nothing to stderr" : "; the end of what it wrote to stderr:" + lines));
}

Bytes peak_of(const trace::TraceFile& trace, trace::Layer layer, std::int16_t device) {
  const trace::Account* account = trace.account(layer, device, trace::Kind::all);
  return account == nullptr ? 0 : account->peak_bytes;
}

void add_trace(const trace::TraceFile& trace, Trial& trial, std::map<int, std::pair<Bytes, Bytes>>& devices) {
  for (const trace::Account& account : trace.accounts) {
    if (account.used != 1 || account.kind != static_cast<std::uint8_t>(trace::Kind::all) || account.device < 0) continue;
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
    trial.rising = account.peak_step >= 2 && account.peak_step + 1 >= trace.header.steps;
    trial.roles.clear();
    if (!tensors) continue;
    AnalyseOptions options = analyse_options();
    options.max_allocations = 0;
    options.source_text = false;
    for (const BreakdownEntry& entry : analyse(trace, options).peak_breakdown) {
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
  const End end = run(request);
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
