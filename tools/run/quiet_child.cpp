#include "tools/run/quiet_child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <fstream>
#include <stdexcept>

#include "report/support/utf8.hpp"

namespace vramtrack::tools {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void become(const QuietProgram& program, pid_t parent, const sigset_t& mask) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  setpgid(0, 0);
  const int nothing = open("/dev/null", O_RDWR);
  const int messages = open(program.messages.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (nothing < 0 || messages < 0) _exit(125);
  dup2(nothing, STDIN_FILENO);
  dup2(nothing, STDOUT_FILENO);
  dup2(messages, STDERR_FILENO);
  close(nothing);
  close(messages);
  try {
    program.set_environment();
  } catch (const std::exception& error) {
    dprintf(STDERR_FILENO, "%s\n", error.what());
    _exit(125);
  }
  std::vector<char*> arguments;
  for (const std::string& word : program.command) arguments.push_back(const_cast<char*>(word.c_str()));
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

}  // namespace

QuietEnd run_quietly(const QuietProgram& program) {
  const SignalsWait signals;
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) become(program, parent, signals.before());
  if (pid < 0) throw std::runtime_error(std::string("cannot start a process: ") + std::strerror(errno));
  setpgid(pid, pid);  // whoever of the two is first
  const Clock::time_point late = Clock::now() + program.deadline;
  QuietEnd end;
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

std::string last_lines(const std::filesystem::path& path) {
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

}  // namespace vramtrack::tools
