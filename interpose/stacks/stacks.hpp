// Stack capture: native and Python frames of the calling thread, interned into the trace. Any thread, with or without
// the GIL; takes no GIL; no lock and no heap allocation for a stack seen before.
#pragma once

#include "interpose/core/event.hpp"

namespace vramtrack::stacks {

struct Captured {
  StackId stack = no_stack;
  StackId forward = no_stack;  // where the autograd node that is running now was built (backward allocations)
};

struct Options {
  bool python = true;
  bool native = true;
  bool check = false;  // compare every remembered stack with a fresh one
};

/// Once a process image, before the first capture: loads libunwind with dlopen(RTLD_LOCAL).
void init(const Options& options) noexcept;

/// Captures and interns under the active trace.
Captured capture(const CaptureStart& start) noexcept;

/// In a forked child before its own trace exists: forget every interned id.
void reset() noexcept;

/// An autograd node is being built in this thread (called by the at::sequence_number hook, with the number it got).
void remember_forward(std::uint64_t sequence_number, const CaptureStart& start) noexcept;

/// The program opens and closes a range of this thread, which names what it allocates until then. Unbalanced calls do
/// no harm. Also before there is a trace: those that are open when it begins are ranges of it (early_ranges.hpp).
void open_range(const char* name) noexcept;
void close_range() noexcept;

/// In a forked child: what this thread had opened was its parent's.
void forget_early_ranges() noexcept;

/// Libraries may have come or gone (dlopen/dlclose returned): flush rules, write module records lazily.
void modules_changed() noexcept;

}  // namespace vramtrack::stacks
