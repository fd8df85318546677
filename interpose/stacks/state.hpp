// What a thread keeps between captures, and the options and generations that all threads share.
// Plain memory from mmap, reached through one pointer in TLS; handed to the next new thread when its own ends.
#pragma once

#include <atomic>
#include <cstdint>

#include "interpose/core/event.hpp"
#include "interpose/stacks/hash.hpp"
#include "interpose/stacks/stacks.hpp"

namespace vramtrack::stacks {

inline constexpr std::size_t max_python = 1024;
inline constexpr std::size_t max_native = 1024;
inline constexpr std::size_t max_ranges_open = 64;  // further ones are counted and have no label

extern Options g_options;  // written once by init()

/// Counts what makes everything that a thread remembers invalid (libraries came or went, the trace is another one), and
/// what makes its Python words invalid (a recorded code object died). Compared at every capture with the values that
/// the thread saw last.
extern std::atomic<std::uint64_t> g_generation;
extern std::atomic<std::uint64_t> g_code_generation;

struct PythonMemo;
struct ReadSets;

/// A stack of Python frames alone, interned.
struct PythonOnly {
  Hash128 hash;
  std::uint32_t flags;
  StackId stack;
};

struct ThreadState {
  std::uint64_t generation;
  ThreadState* next_free;
  PythonMemo* python_memo;
  ReadSets* read_sets;
  std::uintptr_t stack_low, stack_high;  // this thread's own stack, 0 when unknown
  std::uint64_t autograd_thread;         // at::RecordFunction's number of this thread, 0: not asked yet
  std::uint32_t ranges;                  // that this thread has opened and not closed
  std::uint16_t range[max_ranges_open];  // their labels, outermost first
  PythonOnly python_only[256];           // of the autograd nodes built last, by the low bits of their hash
  std::uint64_t python[max_python];      // frames in the words of trace::StackRecord
  std::uint64_t native[max_native];
};

/// The calling thread's state, made on first use; nullptr when memory is out.
ThreadState* this_thread() noexcept;

void init_threads() noexcept;

/// In a forked child: other threads' states are free again.
void reset_threads() noexcept;

}  // namespace vramtrack::stacks
