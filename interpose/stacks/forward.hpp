// Where the autograd node that runs now was built. In the forward pass each node takes a sequence number; the Python
// stack of that moment is remembered under (forward thread, number) in a bounded ring. In the backward pass the running
// node tells both back. Any thread.
#pragma once

#include "interpose/core/event.hpp"
#include "interpose/stacks/state.hpp"

namespace vramtrack::stacks {

struct Forward {
  StackId stack = no_stack;  // that was remembered for the node that this thread executes
  bool outside = false;      // PyTorch was asked and said that the thread executes none
  bool inside = false;       // it was asked and named one; neither: it was not asked
};
Forward find_forward() noexcept;

/// Remembers `stack` for a node that this thread is building.
void remember_node(ThreadState& state, std::uint64_t sequence_number, StackId stack) noexcept;

/// Libraries came: libtorch may be among them.
void torch_may_have_come() noexcept;

/// The remembered ids are of another trace.
void forget_forward() noexcept;

}  // namespace vramtrack::stacks
