#include "tools/run/child.hpp"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tools/run/bystander.hpp"

namespace vramtrack::tools {
namespace {

/// Whether the kernel gives the program another user's or group's rights, and the linker then preloads nothing.
bool changes_identity(const struct stat& status) {
  return ((status.st_mode & S_ISUID) != 0 && status.st_uid != getuid()) ||
         ((status.st_mode & S_ISGID) != 0 && status.st_gid != getgid());
}

/// A program of another C library than glibc (musl's loader is /lib/ld-musl-x86_64.so.1) would not start with our
/// library.
std::optional<std::string> loader_obstacle(std::ifstream& file, const Elf64_Phdr& segment, const std::string& path) {
  std::string loader(std::min<std::size_t>(segment.p_filesz, 4096), '\0');
  file.seekg(static_cast<std::streamoff>(segment.p_offset));
  if (!file.read(loader.data(), static_cast<std::streamsize>(loader.size()))) return std::nullopt;
  if (loader.find("/ld-linux") != std::string::npos) return std::nullopt;
  return path + " is not a glibc program (its loader is " + loader.c_str() + ")";
}

std::optional<std::string> elf_obstacle(std::ifstream& file, const std::string& path) {
  Elf64_Ehdr header{};
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(&header), sizeof header)) return std::nullopt;
  if (header.e_ident[EI_CLASS] != ELFCLASS64) return path + " is a 32-bit program";
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    file.seekg(static_cast<std::streamoff>(header.e_phoff + i * header.e_phentsize));
    if (!file.read(reinterpret_cast<char*>(&segment), sizeof segment)) return std::nullopt;
    if (segment.p_type == PT_INTERP) return loader_obstacle(file, segment, path);
  }
  return path + " is statically linked";
}

void forward_signal(pid_t child, const siginfo_t& info, Bystander& bystander) {
  // The terminal, a shell's job control and `timeout` send signals to the whole group: a child in it has them already.
  const bool to_all = bystander.got(info.si_signo) && getpgid(child) == getpgrp();
  const bool sent = info.si_code == SI_USER || info.si_code == SI_QUEUE || info.si_code == SI_TKILL;
  if (sent && !to_all) kill(child, info.si_signo);
}

[[noreturn]] void exec_child(const std::vector<std::string>& command, int report_pipe, const sigset_t& mask,
                             const struct sigaction& on_child) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  sigaction(SIGCHLD, &on_child, nullptr);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  execvp(arguments[0], arguments.data());
  const int error = errno;
  if (write(report_pipe, &error, sizeof error) < 0) _exit(125);
  _exit(127);
}

}  // namespace

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = (folder.empty() ? "." : folder) + "/" + name;
    struct stat status {};
    if (stat(candidate.c_str(), &status) == 0 && S_ISREG(status.st_mode) && access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return "";
}

/// The words of a script's `#!` line; empty for another file.
static std::vector<std::string> script_words(std::istream& file) {
  char start[2] = {};
  file.clear();
  file.seekg(0);
  if (!file.read(start, sizeof start) || start[0] != '#' || start[1] != '!') return {};
  std::string line, word;
  std::getline(file, line);
  std::istringstream text(line);
  std::vector<std::string> words;
  while (text >> word) words.push_back(word);
  return words;
}

std::string interpreter_of(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return "";
  std::ifstream file(path, std::ios::binary);
  std::vector<std::string> words = script_words(file);
  if (words.empty()) return "";
  if (!words[0].ends_with("/env")) return words[0];
  for (std::size_t i = 1; i < words.size(); ++i)
    if (!words[i].starts_with("-") && words[i].find('=') == std::string::npos) return find_program(words[i]);
  return "";
}

std::optional<std::string> preload_obstacle(const std::string& command) {
  std::string path = find_program(command);
  for (int depth = 0; depth < 3 && !path.empty(); ++depth) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    if (changes_identity(status)) return path + " is set-uid";
    std::ifstream file(path, std::ios::binary);
    char start[4] = {};
    if (!file.read(start, sizeof start)) return std::nullopt;
    if (std::memcmp(start, ELFMAG, SELFMAG) == 0) return elf_obstacle(file, path);
    const std::vector<std::string> words = script_words(file);
    path = words.empty() ? "" : words[0];  // of `/usr/bin/env python3`, env: it is dynamic, and passes LD_PRELOAD on
  }
  return std::nullopt;
}

ChildEnd run_child(const std::vector<std::string>& command, const std::function<void()>& idle,
                   std::optional<StartFailure>& failure) {
  sigset_t waited, original;
  sigemptyset(&waited);
  for (int number : {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&waited, number);
  sigprocmask(SIG_BLOCK, &waited, &original);
  // Where our parent had SIGCHLD ignored, we inherit that, and the child's status would be thrown away.
  struct sigaction as_usual {
  }, on_child{};
  as_usual.sa_handler = SIG_DFL;
  sigaction(SIGCHLD, &as_usual, &on_child);

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    failure = {125, std::string("cannot make a pipe: ") + std::strerror(errno)};
    return {};
  }
  Bystander bystander;
  ChildEnd end;
  end.pid = fork();
  if (end.pid == 0) exec_child(command, ends[1], original, on_child);
  close(ends[1]);
  int error = 0;
  ssize_t got = 0;
  if (end.pid < 0) {
    error = errno;
    got = sizeof error;
  } else {
    do got = read(ends[0], &error, sizeof error);
    while (got < 0 && errno == EINTR);
  }
  close(ends[0]);
  if (got == sizeof error) {
    if (end.pid > 0) waitpid(end.pid, nullptr, 0);
    sigprocmask(SIG_SETMASK, &original, nullptr);
    const bool missing = error == ENOENT;
    failure = {missing ? 127 : 126, command[0] + ": " + (missing ? "command not found" : std::strerror(error))};
    return end;
  }

  int status = 0;
  for (;;) {
    const pid_t done = waitpid(end.pid, &status, WNOHANG);
    if (done == end.pid || (done < 0 && errno != EINTR)) break;
    const timespec quarter{0, 250'000'000};
    siginfo_t info{};
    const int number = sigtimedwait(&waited, &info, &quarter);
    if (number < 0) {
      if (errno == EAGAIN) idle();
    } else if (number != SIGCHLD) {
      forward_signal(end.pid, info, bystander);
    }
  }
  sigprocmask(SIG_SETMASK, &original, nullptr);
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  end.real_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
  end.signalled = WIFSIGNALED(status);
  end.code = end.signalled ? WTERMSIG(status) : WEXITSTATUS(status);
  return end;
}

}  // namespace vramtrack::tools
