// See state.hpp. Runs in the traced process, in any thread.
#include "interpose/stacks/state.hpp"

#include <pthread.h>
#include <signal.h>

#include "interpose/core/hot.hpp"
#include "interpose/core/hot_thread.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/thread_end.hpp"
#include "interpose/stacks/native_memo.hpp"
#include "interpose/stacks/python_stack.hpp"

namespace vramtrack::stacks {

VRAMTRACK_HOT constinit Options g_options;
VRAMTRACK_HOT constinit std::atomic<std::uint64_t> g_generation{1};
VRAMTRACK_HOT constinit std::atomic<std::uint64_t> g_code_generation{1};

namespace {

SpinLock g_lock;
ThreadState* g_free = nullptr;
constinit ThreadEnd g_thread_end;

void thread_ended(void* state) noexcept {
  t_hot.stacks = nullptr;
  const LockGuard guard(g_lock);
  auto* const ended = static_cast<ThreadState*>(state);
  ended->next_free = g_free;
  g_free = ended;
}

/// Signals wait meanwhile: a handler that jumps out would leave the thread's own lock in libc taken for ever.
void find_stack(ThreadState& state) noexcept {
  state.stack_low = state.stack_high = 0;
  pthread_attr_t attributes;
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = ::pthread_getattr_np(::pthread_self(), &attributes);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (failed != 0) return;
  void* low = nullptr;
  std::size_t bytes = 0;
  if (::pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
    state.stack_low = reinterpret_cast<std::uintptr_t>(low);
    state.stack_high = state.stack_low + bytes;
  }
  ::pthread_attr_destroy(&attributes);
}

/// In the order in which their hot parts should share the huge page.
struct Memory {
  ThreadState state;
  PythonMemo python_memo;
  ReadSets read_sets;
};
constexpr std::uint32_t with_huge_pages = 8;  // threads: 2 MB each at once, where the others take what they use
std::atomic<std::uint32_t> g_made{0};

ThreadState* map_state() noexcept {
  const bool huge = g_made.fetch_add(1, std::memory_order_relaxed) < with_huge_pages;
  auto* const memory = static_cast<Memory*>(huge ? map_huge_pages(sizeof(Memory)) : map_pages(sizeof(Memory)));
  if (memory == nullptr) return nullptr;
  memory->state.python_memo = &memory->python_memo;
  memory->state.read_sets = &memory->read_sets;
  return &memory->state;
}

VRAMTRACK_COLD ThreadState* make_state() noexcept {
  ThreadState* state = nullptr;
  {
    const LockGuard guard(g_lock);
    state = g_free;
    if (state != nullptr) g_free = state->next_free;
  }
  if (state == nullptr && (state = map_state()) == nullptr) return nullptr;
  state->generation = 0;  // never current: what an ended thread remembered is flushed
  state->autograd_thread = 0;
  state->ranges = 0;
  find_stack(*state);
  g_thread_end.watch(state);
  t_hot.stacks = state;
  return state;
}

}  // namespace

ThreadState* this_thread() noexcept {
  ThreadState* const state = t_hot.stacks;
  return state != nullptr ? state : make_state();
}

void init_threads() noexcept { g_thread_end.init(thread_ended); }

void reset_threads() noexcept { g_lock.reset(); }

}  // namespace vramtrack::stacks
