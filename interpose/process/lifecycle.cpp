// The library's start in a process, and the process's ways to fork and to end. The constructor does next to nothing: a
// program without CUDA must not notice it. Nothing is destroyed at exit: other threads may still be in hooks.
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "contract/dormant.hpp"
#include "cupti/callback_source.hpp"
#include "interpose/core/hot.hpp"
#include "interpose/core/no_cancel.hpp"
#include "interpose/core/options.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/core/say.hpp"
#include "interpose/core/signal_context.hpp"
#include "interpose/core/thread_id.hpp"
#include "interpose/cuda/contexts.hpp"
#include "interpose/cuda/doors.hpp"
#include "interpose/cuda/doors_note.hpp"
#include "interpose/cuda/special.hpp"
#include "interpose/process/named_moments.hpp"
#include "interpose/process/session.hpp"
#include "interpose/python/agent.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/trace/writer.hpp"

#include <dlfcn.h>

namespace vramtrack::session {

namespace {

using ExitFunction = void (*)(int);

std::atomic<pid_t> g_pid{0};
std::atomic<bool> g_ended{false};
ExitFunction g_real_exit = nullptr;  // of _exit and _Exit
ExitFunction g_real_quick_exit = nullptr;

ExitFunction next(const char* name) noexcept {
  return reinterpret_cast<ExitFunction>(hooks::real_dlsym(RTLD_NEXT, name));
}

/// A vfork child that could not exec shares our memory, but not our id.
bool is_this_process() noexcept { return ::syscall(SYS_getpid) == g_pid.load(std::memory_order_relaxed); }

/// The end as a signal handler may tell it, whatever it interrupted. What waits in the trace is read from there.
void mark_end(int code) noexcept {
  trace::Writer* writer = trace::active();
  if (!is_this_process() || writer == nullptr || g_ended.exchange(true)) return;
  freeze_at_once();
  writer->finish(trace::EndKind::exit, code & 0xff);
}

__attribute__((constructor(101))) void library_loaded() noexcept {
  const SavedErrno keep;
  g_pid.store(::getpid(), std::memory_order_relaxed);
  if (::fcntl(STDERR_FILENO, F_GETFD) < 0) be_silent();
  read_options();
  g_real_exit = next("_exit");
  g_real_quick_exit = next("quick_exit");
  ::pthread_atfork(nullptr, nullptr, after_fork_in_child);
  // Registered before the program's own handlers, so it runs after them: what they free is seen as freed.
  ::on_exit(
      [](int code, void*) {
        if (inside_hook() || on_signal_stack()) return mark_end(code);  // exit() in a handler: not allowed, but done
        const int wanted = end(code, true);
        if (wanted == code) return;
        std::fflush(nullptr);  // what exit() would still have done
        ::_exit(wanted);
      },
      nullptr);
}

[[noreturn]] void leave(ExitFunction real, int code) noexcept {
  if (real != nullptr) real(code);
  for (;;) ::syscall(SYS_exit_group, code);
}

}  // namespace

void after_fork_in_child() noexcept {
  const SavedErrno keep;
  const pid_t parent = g_pid.load(std::memory_order_relaxed);
  g_pid.store(::getpid(), std::memory_order_relaxed);
  g_ended.store(false, std::memory_order_relaxed);
  forget_thread_id();
  if (trace::Writer* parents = trace::inherited()) parents->close_in_child();
  hooks::contexts::reset();
  hooks::reset_pointers();
  hooks::reset_vmm();
  agent::reset();
  cupti::reset();
  stacks::forget_early_ranges();
  named_moments::reset();
  reset_recorder(static_cast<std::uint32_t>(parent));
}

VRAMTRACK_COLD int end(int code, bool orderly) noexcept {
  if (!is_this_process()) return code;
  const SavedErrno keep;
  const NoCancel whole;
  trace::Writer* writer = trace::active();
  if (!trace_open()) {
    if (writer != nullptr && !g_ended.exchange(true)) writer->finish(trace::EndKind::exit, code & 0xff);  // it stopped
    agent::finish();  // a forked child without a trace of its own still has its random numbers to tell
    hooks::tell_doctor();
    return code;
  }
  if (g_ended.exchange(true)) return code;
  agent::finish();
  if (orderly)
    freeze();
  else
    freeze_quietly();
  if (writer == nullptr) return code;
  cupti::finish();
  hooks::write_doors_note();
  trace::set_dormant_bits(writer->header(), trace::dormant_bits(writer->header()) | trace::settled);
  writer->finish(trace::EndKind::exit, code & 0xff);
  constexpr int leaks = 77;
  return launcher_waits() || write_report(writer->path()) || code != 0 ? code : leaks;
}

namespace {

/// A handler may call _exit, and may have interrupted anything: the driver, the interpreter, ourselves under a lock.
/// Then only the trace is told. os._exit is never called from one: the interpreter runs Python's handlers later.
[[noreturn]] void leave_at_once(int code, const void* caller) noexcept {
  const bool in_handler = inside_hook() || (may_be_in_signal_handler() && !agent::is_interpreter(caller));
  if (in_handler)
    mark_end(code);
  else
    code = end(code, false);
  leave(g_real_exit, code);
}

}  // namespace

}  // namespace vramtrack::session

#define EXPORT extern "C" __attribute__((visibility("default"), noreturn))

EXPORT void _exit(int code) { vramtrack::session::leave_at_once(code, __builtin_return_address(0)); }
EXPORT void _Exit(int code) noexcept { vramtrack::session::leave_at_once(code, __builtin_return_address(0)); }
EXPORT void quick_exit(int code) noexcept {  // no handler may call it
  vramtrack::session::leave(vramtrack::session::g_real_quick_exit, vramtrack::session::end(code, false));
}
