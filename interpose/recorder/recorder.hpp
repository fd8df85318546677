// The one way from a hook into the trace: guard, lazy start, stack capture, ledger. Any thread.
#pragma once

#include "interpose/core/event.hpp"
#include "interpose/core/hot.hpp"
#include "interpose/core/hot_thread.hpp"
#include "interpose/ledger/ledger.hpp"

namespace vramtrack {

/// Re-entrancy guard: only the outermost hook on a thread records. It covers the real call too: what that calls in turn
/// (the runtime its driver) is the same event. errno is the real call's business: the functions below keep it.
class HookScope {
 public:
  HookScope() noexcept {
    outermost_ = t_hot.hook == 0 || (place() >= t_hot.hook && left_behind());
    if (outermost_) t_hot.hook = place();
  }
  ~HookScope() {
    if (outermost_) t_hot.hook = 0;
  }
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;
  bool outermost() const noexcept { return outermost_; }

  /// Not the outermost, and not called by it: by a signal handler that interrupted it. Costs a look through the stack.
  bool in_handler() const noexcept;

  /// The hook that seems to be running around this one is not on the stack any more: a signal handler jumped out of it.
  static void forget_outer() noexcept;

 private:
  std::uintptr_t place() const noexcept { return reinterpret_cast<std::uintptr_t>(this); }
  /// Same, for one that stands below this: what it calls would too, unless on the handlers' own stack.
  VRAMTRACK_COLD bool left_behind() const noexcept;

  bool outermost_ = false;  // first, since left_behind() is called on an object that is being made
};

/// True when events are to be recorded now (starts the trace lazily on a process's first event).
bool recording() noexcept;

/// Same, but never starts a trace: for frees (a process that only frees what its parent made leaves no file).
bool tracing() noexcept;

void record_alloc(const AllocEvent& event, const CaptureStart& start) noexcept;
ledger::Removed record_free(const FreeEvent& event) noexcept;
/// An event that cannot be recorded: a signal handler made it while a hook of the same thread was at work.
void count_dropped() noexcept;
/// A free that cannot fail (a caching allocator's own).
void record_drop(const FreeEvent& event) noexcept;
/// The real free failed after record_free: as if nothing had happened (an unknown free is not counted either).
void take_back(const ledger::Removed& removed) noexcept;
void record_oom(Layer layer, std::int16_t device, std::uint64_t requested, std::uint64_t live, std::uint64_t reserved,
                const CaptureStart& start) noexcept;

/// A context came into being on this device (the primary one: handle 0), by the call that `start` tells; or it went.
void record_context(std::int16_t device, std::uint64_t handle, const CaptureStart& start) noexcept;
void record_context_gone(std::int16_t device, std::uint64_t handle) noexcept;

/// A call that CUPTI reports and no hook is around. A hook may still be within it: a library that carries its own
/// runtime (cuBLAS, NCCL, CuPy) calls the driver through pointers that we handed out. Both see the same memory come or
/// go, and it is recorded once. Of the calling thread; from the call's begin to its end.
namespace reported_call {
void begin() noexcept;
/// Takes a block out before the real call frees it. A hook within takes it over, and then it alone can put it back.
void take_out(const FreeEvent& event) noexcept;
/// Puts back what was taken out, unless the call succeeded or a hook took it over.
void end_free(bool succeeded) noexcept;
/// Whether a hook within has recorded this address.
bool recorded(std::uint64_t address) noexcept;
}  // namespace reported_call

/// The exit moment: what is live now is what the report calls alive at exit. Called by the agent at the end of its
/// atexit analysis (the script's globals still live), else by the library's own exit path. Later events are forwarded
/// to the real functions but not recorded, so that the tear-down of the interpreter does not empty the report. Writes
/// Header::end_ticks; end_kind and end_code are still written when the process really ends. Idempotent.
void freeze() noexcept;

/// freeze(), without a word to the driver or the agent: also from _exit, which a signal handler may have called.
void freeze_quietly() noexcept;

/// Same, and nothing else: one store. What waits is left to the reader.
void freeze_at_once() noexcept;

/// Whether this process is recorded, or will be from its first event on.
bool may_record() noexcept;

/// Whether this process has an open trace (recording or frozen).
bool trace_open() noexcept;

/// Whether the calling thread is inside a hook: a signal handler may have interrupted one.
bool inside_hook() noexcept;

/// In a forked child: the parent's trace is not ours; an own one is opened by the first event.
void reset_recorder(std::uint32_t forked_from) noexcept;

/// An internal failure: one stderr line with the pid, recording off for ever (hooks go on forwarding).
void stop_recording(const char* why) noexcept;

}  // namespace vramtrack
