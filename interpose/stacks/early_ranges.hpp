// The ranges that a thread has open before there is a trace: names in memory of the thread's own, since nothing can be
// interned yet. When the thread comes to the trace they become ranges of its state. The calling thread's, no lock.
#pragma once

namespace vramtrack::stacks {

struct ThreadState;

void open_early_range(const char* name) noexcept;
void close_early_range() noexcept;

/// Those that are still open, outermost first, go to `take(state, name)`; nullptr for a name that found no room. Then
/// they are forgotten.
void hand_over_early_ranges(ThreadState& state, void (*take)(ThreadState&, const char*) noexcept) noexcept;

}  // namespace vramtrack::stacks
