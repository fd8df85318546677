// See python_stack.hpp. Follows what CPython's own PyThreadState_GetFrame and PyFrame_GetBack show:
//   3.9, 3.10   every frame; each belongs to a C evaluation of its own
//   3.11        frames before their first traceable instruction are left out; is_entry marks the outermost of a C call
//   3.12, 3.13  as 3.11, but a shim frame (owned by the C stack) stands below the outermost one of each C call
#include "interpose/stacks/python_stack.hpp"

#include "interpose/stacks/python_code.hpp"

namespace vramtrack::stacks {
namespace {

constexpr std::uint8_t owned_by_generator = 1;

// Keys. With interpreter frames, the instruction pointer says which code object and which offset: it lies inside the
// code object. The owner says whether an early instruction hides the frame. Bits 48 and up of a user address are 0.
constexpr int owner_shift = 56;
constexpr std::uint64_t entry_key = 1ull << 63;
constexpr std::uint64_t pointer_mask = (1ull << 48) - 1;
// With frame objects: the code object and f_lasti (-1 before the start) above it; 0 (never equal) if it does not fit.
constexpr std::int32_t lasti_limit = 0xfffe;

std::uint32_t walk_interpreter_frames(const PythonLayout& l, const std::byte* frame, PythonMemo& memo,
                                      std::uint32_t& flags) noexcept {
  std::uint32_t n = 0;
  for (; frame != nullptr; frame = read_at<const std::byte*>(frame, l.previous)) {
    const auto owner = read_at<std::uint8_t>(frame, l.owner);
    if (owner >= l.owner_shim) {
      if (n > 0) memo.new_key[n - 1] |= entry_key;
      continue;
    }
    if (n == max_python) {
      flags |= trace::stack_truncated;
      break;
    }
    std::uint64_t key = read_at<std::uint64_t>(frame, l.instruction) | std::uint64_t{owner} << owner_shift;
    if (l.is_entry >= 0 && read_at<std::uint8_t>(frame, static_cast<std::size_t>(l.is_entry)) != 0) key |= entry_key;
    memo.new_key[n] = key;
    memo.new_frame[n++] = frame;
  }
  return n;
}

std::uint32_t walk_frame_objects(const PythonLayout& l, const std::byte* frame, PythonMemo& memo,
                                 std::uint32_t& flags) noexcept {
  std::uint32_t n = 0;
  for (; frame != nullptr; frame = read_at<const std::byte*>(frame, l.previous)) {
    if (n == max_python) {
      flags |= trace::stack_truncated;
      break;
    }
    const auto last = read_at<std::int32_t>(frame, l.instruction);
    const auto code = read_at<std::uint64_t>(frame, l.code);
    memo.new_key[n] = last >= -1 && last < lasti_limit ? code | static_cast<std::uint64_t>(last + 1) << 48 : 0;
    memo.new_frame[n++] = frame;
  }
  return n;
}

/// The word of one frame; 0: hidden by CPython. False: its code object could not be recorded.
bool resolve(const Python& python, const std::byte* frame, std::uint64_t key, std::uint64_t& word) noexcept {
  const PythonLayout& l = python.layout;
  const auto* const code = read_at<const std::byte*>(frame, l.code);
  std::int64_t offset = 0;
  std::uint64_t entry = 0;
  word = 0;
  if (l.interpreter_frames) {
    offset = reinterpret_cast<const std::byte*>(key & pointer_mask) - (code + l.instructions);
    entry = (key & entry_key) != 0 ? trace::entry_bit : 0;
    const auto owner = static_cast<std::uint8_t>(key >> owner_shift & 0x7f);
    if (owner != owned_by_generator && offset < 2 * std::int64_t{read_at<std::int32_t>(code, l.first_traceable)})
      return true;
  } else {
    offset = std::int64_t{read_at<std::int32_t>(frame, l.instruction)} * l.lasti_scale;
    entry = trace::entry_bit;
  }
  const std::uint32_t id = code_id(python, code);
  if (id == no_code) return false;
  const auto where = offset < 0 ? trace::unknown_offset : static_cast<std::uint32_t>(offset);
  word = trace::python_frame_bit | entry | std::uint64_t{id} << 32 | where;
  return true;
}

}  // namespace

PythonStack walk_python(ThreadState& state) noexcept {
  PythonMemo& memo = *state.python_memo;
  PythonStack stack{{}, 0};
  const Python* python = g_python.load(std::memory_order_acquire);
  if (python == nullptr) [[unlikely]] {
    find_python();
    python = g_python.load(std::memory_order_acquire);
    if (python == nullptr) {
      memo.count = 0;
      const bool unreadable = g_python_search.load(std::memory_order_relaxed) == PythonSearch::unreadable;
      stack.flags = unreadable ? trace::stack_python_unreadable : trace::stack_no_python;
      return stack;
    }
  }
  const std::byte* const thread_state = python_thread_state(*python);
  if (thread_state == nullptr) {
    memo.count = 0;
    stack.flags = trace::stack_no_python;
    return stack;
  }
  const PythonLayout& l = python->layout;
  const std::byte* const innermost = innermost_frame(l, thread_state);
  const std::uint32_t n = l.interpreter_frames ? walk_interpreter_frames(l, innermost, memo, stack.flags)
                                               : walk_frame_objects(l, innermost, memo, stack.flags);
  const std::uint32_t known = memo.count < n ? memo.count : n;
  std::uint32_t same = 0;
  while (same < known && memo.key[same] == memo.new_key[n - 1 - same]) ++same;
  Hash128 hash = same > 0 ? memo.hash[same - 1] : Hash128{};
  for (std::uint32_t i = same; i < n; ++i) {
    const std::uint64_t key = memo.new_key[n - 1 - i];
    std::uint64_t word = 0;
    if (!resolve(*python, memo.new_frame[n - 1 - i], key, word)) [[unlikely]] {
      memo.count = 0;
      stack.flags |= trace::stack_python_unreadable;
      return stack;
    }
    if (word != 0) hash = hash.plus(word);
    memo.key[i] = key != 0 ? key : ~0ull;
    memo.word[i] = word;
    memo.hash[i] = hash;
  }
  memo.count = n;
  stack.hash = hash;
  return stack;
}

std::uint32_t copy_python(const ThreadState& state, std::uint64_t* words) noexcept {
  const PythonMemo& memo = *state.python_memo;
  std::uint32_t n = 0;
  for (std::uint32_t i = memo.count; i-- > 0;) {
    if (memo.word[i] != 0) words[n++] = memo.word[i];
  }
  return n;
}

}  // namespace vramtrack::stacks
