#include "interpose/trace/truncation.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "interpose/core/saved_errno.hpp"

namespace vramtrack::trace {

namespace {

struct sigaction g_before {};
FindMapped g_find = nullptr;
void (*g_lost)() = nullptr;

/// What would have happened without our handler.
void pass_on(int number, siginfo_t* info, void* context) noexcept {
  if ((g_before.sa_flags & SA_SIGINFO) != 0) return g_before.sa_sigaction(number, info, context);
  if (g_before.sa_handler != SIG_DFL && g_before.sa_handler != SIG_IGN) return g_before.sa_handler(number);
  const bool sent = info->si_code <= 0;  // by a process; else the access is made again when we return
  if (sent && g_before.sa_handler == SIG_IGN) return;
  ::sigaction(number, &g_before, nullptr);
  if (sent) ::syscall(SYS_rt_tgsigqueueinfo, ::getpid(), ::syscall(SYS_gettid), number, info);
}

void on_bus_error(int number, siginfo_t* info, void* context) noexcept {
  const SavedErrno keep;
  const MappedPart part = info->si_code > 0 ? g_find(info->si_addr) : MappedPart{};
  if (part.begin == nullptr) return pass_on(number, info, context);
  g_lost();
  // All of it: what is left of the file would only be half of a table.
  if (::mmap(part.begin, part.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED)
    pass_on(number, info, context);
}

}  // namespace

void survive_truncation(FindMapped find, void (*lost)()) noexcept {
  static std::atomic<bool> done{false};
  if (done.exchange(true)) return;
  const SavedErrno keep;
  g_find = find;
  g_lost = lost;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  if (::sigaction(SIGBUS, nullptr, &g_before) == 0) ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace vramtrack::trace
