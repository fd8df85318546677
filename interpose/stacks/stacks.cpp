// Stack capture (interpose/stacks/stacks.hpp): the parts of this folder put together. Runs in the traced process, any
// thread.
#include "interpose/stacks/stacks.hpp"

#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "interpose/core/hot.hpp"
#include "interpose/core/hot_thread.hpp"
#include "interpose/stacks/check.hpp"
#include "interpose/stacks/early_ranges.hpp"
#include "interpose/stacks/forward.hpp"
#include "interpose/stacks/ip_table.hpp"
#include "interpose/stacks/labels.hpp"
#include "interpose/stacks/modules.hpp"
#include "interpose/stacks/native_memo.hpp"
#include "interpose/stacks/native_stack.hpp"
#include "interpose/stacks/python_code.hpp"
#include "interpose/stacks/python_stack.hpp"
#include "interpose/stacks/stack_table.hpp"
#include "interpose/trace/parts.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::stacks {
namespace {

constexpr std::uint64_t range_word = std::uint64_t{'r'} << 32;  // with a label: like module_word of python_stack.cpp

/// One that the program has just opened, or had open when the trace began.
void add_range(ThreadState& state, const char* name) noexcept {
  if (state.ranges < max_ranges_open) state.range[state.ranges] = static_cast<std::uint16_t>(range_label(name));
  ++state.ranges;
}

/// What was remembered under an older generation is dropped. Each thread's way to a trace leads through here.
VRAMTRACK_COLD void catch_up(ThreadState& state, std::uint64_t generation) noexcept {
  state.python_memo->count = 0;
  flush(*state.read_sets);
  for (PythonOnly& known : state.python_only) known.stack = no_stack;
  state.generation = generation;
  hand_over_early_ranges(state, add_range);
}

std::uint16_t innermost_range(const ThreadState& state) noexcept {
  return state.ranges == 0 || state.ranges > max_ranges_open ? std::uint16_t{0} : state.range[state.ranges - 1];
}

PythonStack take_python(ThreadState& state) noexcept {
  PythonStack stack{{}, trace::stack_no_python};
  if (g_options.python && is_on(Part::python)) [[likely]] {
    stack = walk_python(state);
  } else {
    state.python_memo->count = 0;
  }
  if (state.ranges != 0) [[unlikely]]
    stack.hash = stack.hash.plus(range_word | innermost_range(state));
  return stack;
}

/// Words that tell two stacks apart: an address means something else in another object.
std::uint64_t native_word(std::uint64_t ip) noexcept {
  return ip ^ std::uint64_t{ip_info(ip).module} * 0x9fb21c651e98df25ull;
}

/// Libraries came or went: what threads remember is out of date, and one of them may be an interpreter or libtorch.
bool refresh() noexcept {
  if (!refresh_ip_table()) return false;
  g_generation.fetch_add(1, std::memory_order_release);
  python_may_have_come();
  torch_may_have_come();
  return true;
}

Hash128 hash_of(const ThreadState& state, const PythonStack& python, std::uint32_t native_frames,
                std::uint32_t flags) noexcept {
  Hash128 hash = python.hash.plus(std::uint64_t{flags} << 32 | native_frames);
  for (std::uint32_t i = 0; i < native_frames; ++i) hash = hash.plus(native_word(state.native[i]));
  return hash;
}

[[gnu::noinline]] StackId intern(ThreadState& state, const PythonStack& python, std::uint32_t native_frames,
                                 std::uint32_t flags) noexcept {
  Hash128 hash = hash_of(state, python, native_frames, flags);
  const StackId known = find_stack(hash);
  if (known != no_stack) return known;
  // Libraries may have come by ways that no hook sees (the C library's own, say).
  if (native_frames > 0 && refresh()) hash = hash_of(state, python, native_frames, flags);
  return add_stack(hash, state.python, copy_python(state, state.python), state.native, native_frames,
                   {flags, innermost_module(*state.python_memo), innermost_range(state)});
}

/// The same without native frames: the line that builds an autograd node.
StackId intern_python(ThreadState& state, const PythonStack& python) noexcept {
  PythonOnly& known = state.python_only[python.hash.a % std::size(state.python_only)];
  if (known.stack != no_stack && known.hash == python.hash && known.flags == python.flags) [[likely]]
    return known.stack;
  known = {python.hash, python.flags, intern(state, python, 0, python.flags | trace::stack_no_native)};
  return known.stack;
}

/// The native frames into state.native: by our own rules, else by libunwind, else as far as the rules lead.
std::uint32_t take_native(ThreadState& state, const CaptureStart& start, std::uint32_t& flags) noexcept {
  bool truncated = false;
  std::uint32_t n = walk_rules(state, start, state.native, max_native, truncated);
  if (n == 0) n = walk_libunwind(start, state.native, max_native, truncated);
  if (n == 0) {
    state.native[0] = start.ip;
    n = 1;
    truncated = true;
  }
  if (truncated) flags |= trace::stack_truncated;
  return n;
}

/// A stack, and the place in the thread's memory that describes it, if there is one.
struct Taken {
  StackId stack;
  ReadRecord* record;
};

[[gnu::noinline]] Taken unwind(ThreadState& state, const CaptureStart& start, const PythonStack& python,
                               const Hash128& key) noexcept {
  std::uint32_t flags = python.flags;
  const std::uint32_t native_frames = take_native(state, start, flags);
  const StackId stack = intern(state, python, native_frames, flags);
  return {stack, learn(state, start, key, stack)};
}

Taken take_stack(ThreadState& state, const CaptureStart& start) noexcept {
  prefetch_expected(*state.read_sets);  // while the Python frames are walked
  const PythonStack python = take_python(state);
  if (!g_options.native || !is_on(Part::native))
    return {intern(state, python, 0, python.flags | trace::stack_no_native), nullptr};
  const Hash128 key = python.flags == 0 ? python.hash : python.hash.plus(python.flags);
  ReadRecord* const known = recall(state, start, key);
  if (known != nullptr) [[likely]]
    return {known->stack, known};
  return unwind(state, start, python, key);
}

/// The calling thread's state, brought up to date; nullptr: nothing can be captured.
ThreadState* current_state() noexcept {
  if (trace::active() == nullptr) return nullptr;
  ThreadState* const state = this_thread();
  if (state == nullptr) return nullptr;
  const std::uint64_t generation = g_generation.load(std::memory_order_acquire);
  if (state->generation != generation) [[unlikely]]
    catch_up(*state, generation);
  return state;
}

// In a forked child, at once: locks that another thread held are open again, since a code object may die, or a library
// come, before the child has a trace of its own.
void unlock_all() noexcept {
  reset_threads();
  unlock_ip_table();
  unlock_modules();
  unlock_code_objects();
  unlock_labels();
  unlock_python_search();
  unlock_stack_table();
  unlock_check();
}

}  // namespace

void init(const Options& options) noexcept {
  g_options = options;
  init_threads();
  ::pthread_atfork(nullptr, nullptr, unlock_all);
  if (g_options.native) {
    load_libunwind();
    refresh_ip_table();
  }
}

Captured capture(const CaptureStart& start) noexcept {
  ThreadState* const state = current_state();
  if (state == nullptr) return {};
  const Taken taken = take_stack(*state, start);
  const bool outside = taken.record != nullptr && taken.record->outside_nodes;
  Forward forward;
  if (!outside && is_on(Part::current_node)) {
    forward = find_forward();
    if (taken.record != nullptr) taken.record->outside_nodes = forward.outside;
  }
  t_hot.in_node = forward.inside ? 1 : 0;
  if (g_options.check) [[unlikely]]
    check_capture(start, taken.stack, outside);
  return {taken.stack, forward.stack};
}

void remember_forward(std::uint64_t sequence_number, const CaptureStart&) noexcept {
  if (!is_on(Part::node_lines)) return;
  ThreadState* const state = current_state();
  if (state == nullptr) return;
  const PythonStack python = take_python(*state);
  // A node that is built by a running node (double backward, where no Python runs) inherits that one's line.
  StackId stack = no_stack;
  if (state->python_memo->count != 0) {
    stack = intern_python(*state, python);
  } else {
    const Forward running = find_forward();
    stack = running.stack;
    trace::Writer* const writer = running.inside ? trace::active() : nullptr;
    if (writer != nullptr) std::atomic_ref(writer->header().second_order).store(1, std::memory_order_relaxed);
  }
  remember_node(*state, sequence_number, stack);
}

void open_range(const char* name) noexcept {
  if (trace::active() == nullptr) return open_early_range(name);
  if (ThreadState* const state = current_state()) add_range(*state, name);
}

void close_range() noexcept {
  if (trace::active() == nullptr) return close_early_range();
  ThreadState* const state = current_state();
  if (state != nullptr && state->ranges > 0) --state->ranges;
}

void modules_changed() noexcept { refresh(); }

void reset() noexcept {
  forget_modules();
  forget_code_objects();
  forget_labels();
  if (ThreadState* const state = t_hot.stacks) state->ranges = 0;
  forget_stacks();
  check_forget();
  forget_forward();
  g_generation.fetch_add(1, std::memory_order_release);
}

}  // namespace vramtrack::stacks
