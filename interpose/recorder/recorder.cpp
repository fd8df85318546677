// The way from a hook into the trace (interpose/recorder/recorder.hpp). Any thread; the hook's guard is held.
#include "interpose/recorder/recorder.hpp"

#include <unistd.h>

#include <atomic>
#include <utility>

#include "contract/dormant.hpp"
#include "interpose/core/clock.hpp"
#include "interpose/core/hot.hpp"
#include "interpose/core/hot_thread.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/no_cancel.hpp"
#include "interpose/core/options.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/core/say.hpp"
#include "interpose/core/signal_context.hpp"
#include "interpose/core/thread_id.hpp"
#include "interpose/recorder/observers.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack {

namespace {

enum class State : int { idle, on, frozen, off };

VRAMTRACK_HOT constinit std::atomic<State> g_state{State::idle};
VRAMTRACK_HOT constinit std::atomic<bool> g_facts_due{false};
std::atomic<const char*> g_unsaid{nullptr};  // why recording stopped
SpinLock g_start_lock;
std::uint32_t g_forked_from = 0;

struct ReportedCall {
  std::uint64_t recorded = 0;  // the last address of the cuda layer
  ledger::Removed taken_out;
  Kind kind = Kind::all;
};
constinit thread_local ReportedCall t_reported{};

/// The trace file was truncated: in a signal handler that interrupted anything of ours. Said by the next event.
void trace_lost() noexcept {
  g_state.store(State::off);
  g_unsaid.store("the trace file was truncated", std::memory_order_release);
}

/// A thread was torn out of our code under a lock (core/lock.hpp). What waits for it goes on, and records nothing more.
void lock_lost() noexcept {
  if (g_state.exchange(State::off) != State::off)
    g_unsaid.store("a signal handler jumped out of the recording of an event", std::memory_order_release);
}

VRAMTRACK_COLD void say_what_stopped() noexcept {
  if (const char* const why = g_unsaid.exchange(nullptr))
    say("recording stopped: ", why, ". The program goes on untraced.");
}

/// `vramtrack stop PID` has not switched it off. Frees are recorded all the same, so that what is known stays right.
bool switched_on(trace::Writer& writer) noexcept {
  return (trace::dormant_bits(writer.header()) & trace::off_now) == 0;
}

VRAMTRACK_COLD bool start() noexcept {
  const SavedErrno keep;
  const NoCancel whole;
  const SignalsWait signals_wait;
  const LockGuard guard(g_start_lock);
  if (g_state.load(std::memory_order_acquire) != State::idle) return g_state.load() == State::on;
  const bool opened = observers.open_trace(g_forked_from);
  g_state.store(opened ? State::on : State::off, std::memory_order_release);
  if (opened) {
    trace::survive_truncation(
        [](const void* address) {
          const trace::Writer* writer = trace::active();
          return writer == nullptr ? trace::MappedPart{} : writer->mapped_at(address);
        },
        trace_lost);
    g_lock_lost.store(lock_lost, std::memory_order_release);
    g_facts_due.store(true, std::memory_order_relaxed);
    if (!g_host_options.dormant) observers.opened();  // else the first event that is recorded brings the agent in
  }
  return opened;
}

/// Not on, or on with the trace gone: this process was forked by a way that ran no fork handler (clone, _Fork).
VRAMTRACK_COLD bool recording_slow() noexcept {
  const State state = g_state.load(std::memory_order_acquire);
  say_what_stopped();
  if (state == State::on) observers.forked();
  return g_state.load(std::memory_order_acquire) == State::idle && start();
}

// A first CUDA allocation has succeeded; the caching allocator's own events may come under its lock and do not count.
VRAMTRACK_COLD void write_facts() noexcept {
  if (g_facts_due.exchange(false)) observers.driver_is_up();
}

void append_context(std::int16_t device, std::uint64_t handle, StackId stack, bool begins) noexcept {
  trace::Writer* const writer = trace::active();
  if (writer == nullptr) return;
  const trace::ContextRecord record{ticks(), handle, stack, thread_id(), device, begins, {}};
  writer->append(trace::RecordType::context, &record, sizeof record, nullptr, 0);
}

std::uint64_t live_on(std::int16_t device) noexcept {
  trace::Writer* writer = trace::active();
  if (writer == nullptr) return 0;
  for (const trace::Account& account : writer->header().accounts)
    if (account.used && account.layer == static_cast<std::uint8_t>(Layer::cuda) && account.device == device &&
        account.kind == static_cast<std::uint8_t>(Kind::all))
      return account.live_bytes;
  return 0;
}

}  // namespace

bool HookScope::left_behind() const noexcept {
  if (on_signal_stack()) return false;
  return t_jumped = true;
}

void HookScope::forget_outer() noexcept {
  t_hot.hook = 0;
  t_jumped = true;
}

bool HookScope::in_handler() const noexcept { return !outermost_ && handler_between(place(), t_hot.hook); }

void count_dropped() noexcept {
  if (trace::Writer* writer = trace::active())
    std::atomic_ref(writer->header().losses.dropped_events).fetch_add(1, std::memory_order_relaxed);
}

bool recording() noexcept {
  trace::Writer* const writer = trace::active();
  if (g_state.load(std::memory_order_acquire) == State::on && writer != nullptr) [[likely]]
    return switched_on(*writer);
  return recording_slow() && trace::active() != nullptr && switched_on(*trace::active());
}

void record_alloc(const AllocEvent& event, const CaptureStart& start) noexcept {
  const SavedErrno keep;
  stacks::Captured captured;
  if (event.bytes >= g_host_options.min_size) [[likely]]
    captured = stacks::capture(start);
  ledger::add(event, captured.stack, captured.forward);
  if (event.layer != Layer::cuda) [[likely]]
    return;
  t_reported.recorded = event.address;
  if (g_facts_due.load(std::memory_order_relaxed)) [[unlikely]]
    write_facts();
}

ledger::Removed record_free(const FreeEvent& event) noexcept {
  const SavedErrno keep;
  if (const ledger::Removed& taken = t_reported.taken_out; taken.found && event.layer == Layer::cuda &&
                                                           taken.block.address == event.address &&
                                                           t_reported.kind == event.kind)
    return std::exchange(t_reported.taken_out, {});
  return ledger::remove(event);
}

void record_drop(const FreeEvent& event) noexcept {
  const SavedErrno keep;
  ledger::drop(event);
}

void take_back(const ledger::Removed& removed) noexcept {
  const SavedErrno keep;
  trace::Writer* writer = trace::active();
  if (removed.found)
    ledger::restore(removed);
  else if (writer != nullptr)
    std::atomic_ref(writer->header().losses.unknown_frees).fetch_sub(1, std::memory_order_relaxed);
}

void record_oom(Layer layer, std::int16_t device, std::uint64_t requested, std::uint64_t live, std::uint64_t reserved,
                const CaptureStart& start) noexcept {
  const SavedErrno keep;
  const stacks::Captured captured = stacks::capture(start);
  if (layer == Layer::cuda) live = live_on(device);
  const std::uint32_t n = ledger::snapshot_oom(layer, device, requested, live, reserved, captured.stack);
  observers.out_of_memory(n);
}

void record_context(std::int16_t device, std::uint64_t handle, const CaptureStart& start) noexcept {
  if (!recording()) return;
  const SavedErrno keep;
  append_context(device, handle, stacks::capture(start).stack, true);
}

void record_context_gone(std::int16_t device, std::uint64_t handle) noexcept {
  if (!tracing()) return;
  const SavedErrno keep;
  append_context(device, handle, trace::no_stack, false);
}

namespace reported_call {

void begin() noexcept { t_reported = {}; }

void take_out(const FreeEvent& event) noexcept {
  // Only what is known: this must not turn a free of something older into an unknown free.
  if (ledger::live_bytes_of(event.layer, event.device, event.kind, event.address) == 0) return;
  const ledger::Removed removed = record_free(event);
  // Memory of another process may be open more than once: the hooks count that.
  if (removed.found && removed.site->kind == static_cast<std::uint8_t>(Kind::ipc)) return take_back(removed);
  t_reported.taken_out = removed;
  t_reported.kind = event.kind;
}

void end_free(bool succeeded) noexcept {
  const ledger::Removed removed = std::exchange(t_reported.taken_out, {});
  if (!succeeded && removed.found) take_back(removed);
}

bool recorded(std::uint64_t address) noexcept { return t_reported.recorded == address; }

}  // namespace reported_call

bool tracing() noexcept {
  if (g_state.load(std::memory_order_acquire) == State::on && trace::active() != nullptr) [[likely]]
    return true;
  if (g_unsaid.load(std::memory_order_relaxed) != nullptr) say_what_stopped();
  return false;
}

void freeze() noexcept {
  if (tracing()) {
    const SavedErrno keep;
    observers.freezing(g_facts_due.exchange(false));
  }
  freeze_quietly();
}

void stop_recording(const char* why) noexcept {
  if (g_state.exchange(State::off) == State::off) return;
  say("recording stopped: ", why, ". The program goes on untraced.");
}

bool may_record() noexcept {
  const State state = g_state.load(std::memory_order_acquire);
  return state == State::on || (state == State::idle && !g_host_options.no_trace);
}

bool trace_open() noexcept {
  const State state = g_state.load(std::memory_order_acquire);
  return (state == State::on || state == State::frozen) && trace::active() != nullptr;
}

void freeze_quietly() noexcept {
  State on = State::on;
  if (trace::active() == nullptr || !g_state.compare_exchange_strong(on, State::frozen)) return;
  ledger::flush();
  trace::active()->finish(trace::EndKind::running, 0);
}

void freeze_at_once() noexcept {
  State on = State::on;
  g_state.compare_exchange_strong(on, State::frozen);
}

bool inside_hook() noexcept {
  const bool left = reinterpret_cast<std::uintptr_t>(__builtin_dwarf_cfa()) > t_hot.hook && !on_signal_stack();
  return t_hot.hook != 0 && !left;
}

void reset_recorder(std::uint32_t forked_from) noexcept {
  g_start_lock.reset();
  g_forked_from = forked_from;
  if (g_state.load() != State::off) g_state.store(State::idle);
}

}  // namespace vramtrack
