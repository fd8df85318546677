// The Python part of a stack: the calling thread's frames, as words of trace::StackRecord. Any thread, no GIL.
#pragma once

#include "interpose/stacks/hash.hpp"
#include "interpose/stacks/python.hpp"
#include "interpose/stacks/state.hpp"

namespace vramtrack::stacks {

/// What a thread remembers of its last walk, outermost frame first: where each frame is, what was read of it (`key`),
/// what that means (`word`, 0 for a frame that CPython itself does not show), and the hash of all words up to there.
/// A walk reads every frame's link and key again; words and hashes are worked out only from the outermost frame on that
/// differs. Of the frames that call an nn.Module, the module and its class are compared as well.
struct PythonMemo {
  std::uint32_t count;
  std::uint64_t code_generation;
  const std::byte* frame[max_python];
  std::uint64_t key[max_python];
  std::uint64_t word[max_python];
  Hash128 hash[max_python];
  std::uint32_t modules;  // frames that call a module: where in the lists above, outermost first
  std::uint32_t module_at[max_python];
  const std::byte* module[max_python];
  const std::byte* module_type[max_python];
  std::uint16_t module_label[max_python];
  // Frames of this walk that were not met at their place, innermost first.
  const std::byte* new_frame[max_python];
};

struct PythonStack {
  Hash128 hash;         // of the words, outermost first
  std::uint32_t flags;  // trace::StackFlags
};

/// Walks the frames; the memo then describes them.
PythonStack walk_python(ThreadState& state) noexcept;

/// The label of the innermost module that is being called, as the last walk saw it; or no_label.
inline std::uint16_t innermost_module(const PythonMemo& memo) noexcept {
  return memo.count == 0 || memo.modules == 0 ? std::uint16_t{0} : memo.module_label[memo.modules - 1];
}

/// Copies the frames of the last walk to `words`, innermost first; returns how many.
std::uint32_t copy_python(const ThreadState& state, std::uint64_t* words) noexcept;

}  // namespace vramtrack::stacks
