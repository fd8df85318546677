// Without a launcher, the process itself starts the program that writes its report, as its last act. Nothing of the
// report is made in here.
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "interpose/core/hot.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/options.hpp"
#include "interpose/core/say.hpp"
#include "interpose/process/session.hpp"

namespace vramtrack::session {

namespace {

/// The program beside this library: lib/libvramtrack.so -> bin/vramtrack.
bool find_program(char (&path)[PATH_MAX]) noexcept {
  if (*g_host_options.reporter != 0) return std::snprintf(path, sizeof path, "%s", g_host_options.reporter) < PATH_MAX;
  Dl_info info;
  char library[PATH_MAX];
  if (dladdr(reinterpret_cast<void*>(&find_program), &info) == 0 || realpath(info.dli_fname, library) == nullptr)
    return false;
  for (int levels = 0; levels < 2; ++levels)
    if (char* slash = std::strrchr(library, '/')) *slash = 0;
  return static_cast<std::size_t>(std::snprintf(path, sizeof path, "%s/bin/vramtrack", library)) < sizeof path &&
         ::access(path, X_OK) == 0;
}

/// The environment without what makes a traced process.
char** reporter_environment() noexcept {
  std::size_t count = 0;
  for (char** v = environ; v != nullptr && *v != nullptr; ++v) ++count;
  auto** kept = static_cast<char**>(map_pages((count + 1) * sizeof(char*)));
  if (kept == nullptr) return nullptr;
  std::size_t used = 0;
  for (std::size_t i = 0; i < count; ++i)
    if (std::strncmp(environ[i], "LD_PRELOAD=", 11) != 0 && std::strncmp(environ[i], "CUDA_INJECTION64_PATH=", 22) != 0)
      kept[used++] = environ[i];
  return kept;
}

constexpr int still_running = -2;

/// Exit code, -1 or still_running: the host must end, whatever holds the reporter up.
int wait_for(pid_t child) noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  const time_t deadline = now.tv_sec + std::strtol(g_host_options.reporter_wait, nullptr, 10);
  int status = 0;
  for (long pause_ns = 500'000;;) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (ended < 0 && errno != EINTR) return 0;  // the host ignores SIGCHLD: no status is kept, the child has ended
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec > deadline) return still_running;
    const timespec pause{0, pause_ns};
    ::nanosleep(&pause, nullptr);
    if (pause_ns < 10'000'000) pause_ns *= 2;
  }
}

/// Exit code, -1 or still_running.
int run(const char* program, char* const* arguments) noexcept {
  char** variables = reporter_environment();
  pid_t child = 0;
  if (variables == nullptr) return -1;
  // The host's SIGCHLD handler must not see our child; the process is ending, so it stays blocked.
  sigset_t chld;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &chld, nullptr);
  posix_spawnattr_t attributes;
  if (posix_spawnattr_init(&attributes) != 0) return -1;
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &chld);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  // Its stdout is our stderr: stdout is the program's alone.
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions) != 0) return -1;
  if (::fcntl(STDERR_FILENO, F_GETFD) < 0)
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  const int failed = posix_spawn(&child, program, &actions, &attributes, arguments, variables);
  if (failed != 0) return -1;
  return wait_for(child);
}

}  // namespace

bool launcher_waits() noexcept {
  const char* run = std::getenv("VRAMTRACK_RUN_ID");  // begins with its process id
  const pid_t launcher = run == nullptr ? 0 : static_cast<pid_t>(std::strtol(run, nullptr, 10));
  const bool gone = launcher > 0 && ::kill(launcher, 0) != 0 && errno == ESRCH;
  return g_host_options.launched && !gone;
}

VRAMTRACK_COLD bool write_report(const char* trace_path) noexcept {
  char program[PATH_MAX] = "vramtrack", report[PATH_MAX];
  const std::size_t stem = std::strlen(trace_path) - std::strlen(".vtrace");
  std::snprintf(report, sizeof report, "%.*s.json", static_cast<int>(stem), trace_path);
  const bool found = find_program(program);
  char min_size[24];
  std::snprintf(min_size, sizeof min_size, "%llu", static_cast<unsigned long long>(g_host_options.min_size));
  char* json[] = {program,
                  const_cast<char*>("report"),
                  const_cast<char*>(trace_path),
                  const_cast<char*>("--format"),
                  const_cast<char*>("json"),
                  const_cast<char*>("-o"),
                  report,
                  const_cast<char*>("--ooms"),
                  const_cast<char*>("--min-size"),
                  min_size,
                  const_cast<char*>(*g_host_options.fail_on_leak != 0 ? "--fail-on-leak" : nullptr),
                  const_cast<char*>(g_host_options.fail_on_leak),
                  nullptr};
  constexpr int leaks = 77;
  const int code = found ? run(program, json) : -1;
  if (code == still_running) {
    say("the report is not written yet after ", g_host_options.reporter_wait,
        " s; the program ends without waiting for it: ", report);
    return true;
  }
  if (code != 0 && code != leaks) {
    say("the report was not written. Write it with: vramtrack report ", trace_path, " --format json -o ", report);
    return true;
  }
  if (!g_host_options.quiet && !g_host_options.launched) {
    char* const text[] = {program, const_cast<char*>("report"), report, nullptr};
    run(program, text);
  }
  return code != leaks;
}

}  // namespace vramtrack::session
