// VRAMTRACK_CHECK_STACKS=1: every captured stack is compared with a full walk by libunwind, with a fresh walk of the
// Python frames, and, when the thread holds the GIL, with what CPython's own interface says. For tests: slow, and it
// calls Python.
#pragma once

#include "interpose/core/event.hpp"
#include "interpose/core/hot.hpp"
#include "interpose/stacks/state.hpp"

namespace vramtrack::stacks {

/// A new stack was interned: its words are kept to compare later captures with.
void check_remember(StackId stack, const std::uint64_t* python, std::uint32_t python_frames,
                    const std::uint64_t* native, std::uint32_t native_frames, std::uint16_t module) noexcept;

/// The calling thread's stack was captured as `stack`, and taken for one where no autograd node runs, or not.
VRAMTRACK_COLD void check_capture(const CaptureStart& start, StackId stack, bool outside_nodes) noexcept;

/// The next trace has no stacks yet.
void check_forget() noexcept;
void unlock_check() noexcept;

struct CheckCounts {
  std::uint64_t stacks, by_python, mismatches, unverifiable;
};
CheckCounts check_counts() noexcept;

}  // namespace vramtrack::stacks
