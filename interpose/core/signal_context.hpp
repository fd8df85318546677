// Whether the calling code runs in a signal handler. For what handlers may call, also on an alternate stack of a few
// KiB and after interrupting anything: system calls only, no lock, a few dozen bytes of stack.
#pragma once

#include <cstdint>

namespace vramtrack {

/// On the alternate signal stack: certainly in a handler.
bool on_signal_stack() noexcept;

/// False only when it is certain that no handler is running in this thread: none of those that are installed is blocked
/// here (as it is while it runs), or would leave its signal open. A program that blocks a signal that it also has a
/// handler for gets true for no reason.
bool may_be_in_signal_handler() noexcept;

/// Whether a signal handler was entered between two places of this thread's stack: `inner` in the code that asks, and
/// `outer` in code that has not returned. Everything between them is read; a handler on another stack counts.
bool handler_between(std::uintptr_t inner, std::uintptr_t outer) noexcept;

}  // namespace vramtrack
