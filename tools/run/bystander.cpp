#include "tools/run/bystander.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

namespace vramtrack::tools {
namespace {

// Taken after all others: of several pending signals the kernel gives the one with the lowest number first.
const int question = SIGRTMAX;

[[noreturn]] void stand_by(int answers, pid_t launcher) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher) _exit(0);
  // Nothing of the launcher's stays open because of us: a pipe's reader waits for its last writer.
  for (int file = 0; file < 256; ++file)
    if (file != answers) ::close(file);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  for (;;) {
    const int number = sigwaitinfo(&all, nullptr);
    if (number <= 0) continue;
    const auto byte = static_cast<unsigned char>(number == question ? 0 : number);
    if (::write(answers, &byte, 1) != 1) _exit(0);
  }
}

}  // namespace

Bystander::Bystander() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  const pid_t launcher = ::getpid();
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);  // from its first moment on
  pid_ = ::fork();
  if (pid_ == 0) stand_by(ends[1], launcher);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  ::close(ends[1]);
  answers_ = ends[0];
}

Bystander::~Bystander() {
  if (answers_ >= 0) ::close(answers_);
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool Bystander::got(int number) {
  if (pid_ <= 0) return false;
  // A sender takes the members of a group one after the other.
  const timespec moment{0, 20'000'000};
  ::nanosleep(&moment, nullptr);
  if (::kill(pid_, question) != 0) return false;
  for (;;) {
    constexpr int patience_ms = 2000;  // it may have been stopped
    pollfd answer{answers_, POLLIN, 0};
    unsigned char byte = 0;
    const int ready = ::poll(&answer, 1, patience_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || ::read(answers_, &byte, 1) != 1 || byte == 0) break;
    seen_[byte] = true;
  }
  const bool yes = seen_[static_cast<std::size_t>(number)];
  seen_[static_cast<std::size_t>(number)] = false;
  return yes;
}

}  // namespace vramtrack::tools
