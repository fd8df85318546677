// Whole stacks by id: a 128-bit hash finds a known one without a lock, a new one is appended to the trace. Any thread.
#pragma once

#include "interpose/core/event.hpp"
#include "interpose/stacks/hash.hpp"

namespace vramtrack::stacks {

/// What a stack has besides its frames: trace::StackRecord's members of the same names.
struct StackMarks {
  std::uint32_t flags;
  std::uint16_t module, range;
};

/// The id of a stack seen before in this trace, or no_stack.
StackId find_stack(const Hash128& hash) noexcept;

/// Writes a stack's record (and those of the modules that it runs through) and remembers it. no_stack when it cannot be
/// written; that is counted.
StackId add_stack(const Hash128& hash, const std::uint64_t* python, std::uint32_t python_frames,
                  const std::uint64_t* native, std::uint32_t native_frames, const StackMarks& marks) noexcept;

/// The next trace has no stacks yet. No other thread may be capturing.
void forget_stacks() noexcept;
/// In a forked child: the lock is open.
void unlock_stack_table() noexcept;

}  // namespace vramtrack::stacks
