// See python_stack.hpp. Follows what CPython's own PyThreadState_GetFrame and PyFrame_GetBack show:
//   3.9, 3.10   every frame; each belongs to a C evaluation of its own
//   3.11        frames before their first traceable instruction are left out; is_entry marks the outermost of a C call
//   3.12 to 3.14  as 3.11, but a shim frame (owned by the C stack or the interpreter) stands below the outermost one of
//               each C call
#include "interpose/stacks/python_stack.hpp"

#include "interpose/stacks/labels.hpp"
#include "interpose/stacks/python_code.hpp"

namespace vramtrack::stacks {
namespace {

constexpr std::uint8_t owned_by_generator = 1;
constexpr std::uint64_t pointer_mask = (1ull << 48) - 1;  // user addresses have nothing above
constexpr std::uint64_t module_word = std::uint64_t{'m'}
                                      << 32;  // with a label: not the word of a frame, whose top bit is set

/// What decides a frame's word, and whether it differs from what is remembered. With interpreter frames: the
/// instruction pointer, which lies inside the code object and so says which one and which offset, and above it the
/// owner (and is_entry), which say whether the frame shows.
struct InterpreterFrames {
  const PythonLayout& l;
  std::uint64_t previous = l.previous, instruction = l.instruction, flags = l.flags, mask = l.flags_mask;
  int shift = l.flags_shift;

  std::uint64_t key(const std::byte* frame) const noexcept {
    // Whole words only: a 16-bit load would make each frame wait for the one before, by the register that it half
    // fills.
    return read_at<std::uint64_t>(frame, instruction) | (read_at<std::uint64_t>(frame, flags) & mask) << shift;
  }
  bool differs(const std::byte* frame, std::uint64_t known) const noexcept { return key(frame) != known; }
};

/// From 3.12 on the instruction says it all: where a C call begins there is a shim, whose instruction is the
/// interpreter's own, and a generator's frame lies elsewhere than the frame that made it.
struct ShimmedFrames : InterpreterFrames {
  bool differs(const std::byte* frame, std::uint64_t known) const noexcept {
    return (read_at<std::uint64_t>(frame, instruction) ^ known) << 16 != 0;  // above it is the owner
  }
};

/// With frame objects: the code object, and f_lasti + 1 above it; no_key if that does not fit.
struct FrameObjects {
  static constexpr std::uint64_t no_key = ~0ull;
  const PythonLayout& l;
  std::uint64_t previous = l.previous;

  std::uint64_t key(const std::byte* frame) const noexcept {
    const auto last = static_cast<std::uint64_t>(std::int64_t{read_at<std::int32_t>(frame, l.instruction)} + 1);
    return last < 0xffff ? read_at<std::uint64_t>(frame, l.code) | last << 48 : no_key;
  }
  bool differs(const std::byte* frame, std::uint64_t known) const noexcept {
    const std::uint64_t now = key(frame);
    return now != known || now == no_key;
  }
};

bool is_shim(const PythonLayout& l, std::uint64_t key) noexcept {
  return l.interpreter_frames && static_cast<std::uint8_t>(key >> l.owner_shift) >= l.owner_shim;
}

/// The word of one frame; 0: hidden by CPython. False: its code object could not be recorded.
bool resolve(const Python& python, const std::byte* frame, std::uint64_t key, bool below_shim, std::uint64_t& word,
             bool& calls_module) noexcept {
  const PythonLayout& l = python.layout;
  word = 0;
  calls_module = false;
  if (is_shim(l, key)) return true;
  const auto* const code = untagged(read_at<const std::byte*>(frame, l.code));
  std::int64_t offset = 0;
  bool entry = true;
  if (l.interpreter_frames) {
    offset = reinterpret_cast<const std::byte*>(key & pointer_mask) - (code + l.instructions);
    entry = below_shim || (l.is_entry >= 0 && (key >> 48 & 1) != 0);
    if (static_cast<std::uint8_t>(key >> l.owner_shift) != owned_by_generator &&
        offset < 2 * std::int64_t{read_at<std::int32_t>(code, l.first_traceable)})
      return true;
  } else {
    offset = std::int64_t{read_at<std::int32_t>(frame, l.instruction)} * l.lasti_scale;
  }
  const std::uint32_t id = code_id(python, code);
  if (id == no_code) return false;
  calls_module = code == g_module_call_code.load(std::memory_order_acquire);
  const auto where = offset < 0 ? trace::unknown_offset : static_cast<std::uint32_t>(offset);
  word = trace::python_frame_bit | (entry ? trace::entry_bit : 0) | std::uint64_t{id} << 32 | where;
  return true;
}

/// Follows the memo outwards from its frame `top`, which is the chain's frame `frame`, as long as the chain is the
/// same. `changed` becomes the outermost index whose key differs (or stays). Returns the frame where the chain leaves
/// the memo; nullptr when it ended together with it.
///
/// The loads do not wait for each other: their addresses come from the memo, not from the frame before. A frame is read
/// only after the chain was seen to lead to it, since what the memo remembers may have been unmapped.
template <class Kind>
const std::byte* follow(const Kind kind, const PythonMemo& memo, std::int64_t top, const std::byte* frame,
                        std::uint32_t& changed) noexcept {
  const std::uint64_t previous = kind.previous;
  std::int64_t lowest = changed;
  for (std::int64_t i = top; i >= 0; --i) {
    const std::byte* at = memo.frame[i];
    const std::byte* const remembered = at;
    // Else the compiler takes `frame`, which it sees to be equal, for the address: loads in a chain.
    asm("" : "+r"(at));
    if (remembered != frame) [[unlikely]]
      return frame;
    if (kind.differs(at, memo.key[i])) lowest = i;
    frame = read_at<const std::byte*>(at, previous);
  }
  changed = static_cast<std::uint32_t>(lowest);
  return frame;
}

/// Brings the memo's frames and keys up to date with the chain from `innermost`. Returns the index of the outermost
/// entry that is new or changed; memo.count when nothing is.
template <class Kind>
std::uint32_t update(const Kind& kind, PythonMemo& memo, const std::byte* innermost, std::uint32_t& flags) noexcept {
  const PythonLayout& l = kind.l;
  std::uint32_t changed = memo.count;
  std::uint32_t fresh = 0;  // frames in new_frame
  std::uint32_t kept = 0;   // the memo's outer frames that stay
  const std::byte* frame = innermost;
  // Inwards frames are new more often than outer ones: chase the chain until it joins the memo.
  for (std::int64_t j = std::int64_t{memo.count} - 1; frame != nullptr;) {
    // Frames of one stack chunk lie in the order of calls; where that does not hold, a joint is missed, no more.
    while (j >= 0 && memo.frame[j] > frame) --j;
    if (j >= 0 && memo.frame[j] == frame) {
      changed = static_cast<std::uint32_t>(j + 1);
      const std::byte* const left = follow(kind, memo, j, frame, changed);
      if (left == nullptr) {
        kept = static_cast<std::uint32_t>(j + 1);
        break;
      }
      j = -1;  // the memo is of another chain further out: chase all of it
      continue;
    }
    if (fresh == max_python) {
      flags |= trace::stack_truncated;
      break;
    }
    memo.new_frame[fresh++] = frame;
    frame = read_at<const std::byte*>(frame, l.previous);
  }
  if (kept == 0) changed = 0;
  if (kept + fresh > max_python) {
    // The outermost frames fall away, so nothing is where it was.
    flags |= trace::stack_truncated;
    memo.count = 0;
    return update(kind, memo, innermost, flags);
  }
  if (changed > kept) changed = kept;
  for (std::uint32_t i = 0; i < fresh; ++i) memo.frame[kept + i] = memo.new_frame[fresh - 1 - i];
  memo.count = kept + fresh;
  return changed;
}

/// The outermost frame up to `changed` whose code is the same but which calls another module.
std::uint32_t first_other_module(const Python& python, const PythonMemo& memo, std::uint32_t changed) noexcept {
  for (std::uint32_t n = 0; n < memo.modules; ++n) {
    const std::uint32_t at = memo.module_at[n];
    if (at >= changed) break;
    const std::byte* const module = called_module(python, memo.frame[at]);
    if (module != memo.module[n]) return at;
    if (module != nullptr && read_at<const std::byte*>(module, python.layout.object_type) != memo.module_type[n])
      return at;
  }
  return changed;
}

void add_module(const Python& python, PythonMemo& memo, std::uint32_t at) noexcept {
  const std::byte* const module = called_module(python, memo.frame[at]);
  const std::uint32_t n = memo.modules++;
  memo.module_at[n] = at;
  memo.module[n] = module;
  memo.module_type[n] = module == nullptr ? nullptr : read_at<const std::byte*>(module, python.layout.object_type);
  memo.module_label[n] = static_cast<std::uint16_t>(module_label(python, module));
}

template <class Kind>
[[gnu::always_inline]] inline bool walk(const Python& python, const Kind& kind, PythonMemo& memo,
                                        const std::byte* innermost, std::uint32_t& flags) noexcept {
  std::uint32_t changed = update(kind, memo, innermost, flags);
  changed = first_other_module(python, memo, changed);
  while (memo.modules > 0 && memo.module_at[memo.modules - 1] >= changed) --memo.modules;
  Hash128 hash = changed > 0 ? memo.hash[changed - 1] : Hash128{};
  for (std::uint32_t i = changed; i < memo.count; ++i) {
    const std::uint64_t key = kind.key(memo.frame[i]);
    const bool below_shim = i > 0 && is_shim(kind.l, memo.key[i - 1]);
    bool calls_module;
    if (!resolve(python, memo.frame[i], key, below_shim, memo.word[i], calls_module)) [[unlikely]]
      return false;
    if (memo.word[i] != 0) hash = hash.plus(memo.word[i]);
    if (calls_module) {
      add_module(python, memo, i);
      hash = hash.plus(module_word | memo.module_label[memo.modules - 1]);
    }
    memo.key[i] = key;
    memo.hash[i] = hash;
  }
  return true;
}

/// CPython 3.9 and 3.10. Apart, so that it does not lie between what the others run.
[[gnu::noinline]] bool walk_objects(const Python& python, PythonMemo& memo, const std::byte* innermost,
                                    std::uint32_t& flags) noexcept {
  return walk(python, FrameObjects{python.layout}, memo, innermost, flags);
}

bool walk_frames(const Python& python, PythonMemo& memo, const std::byte* innermost, std::uint32_t& flags) noexcept {
  const PythonLayout& l = python.layout;
  if (!l.interpreter_frames) return walk_objects(python, memo, innermost, flags);
  return l.is_entry >= 0 ? walk(python, InterpreterFrames{l}, memo, innermost, flags)
                         : walk(python, ShimmedFrames{{l}}, memo, innermost, flags);
}

}  // namespace

PythonStack walk_python(ThreadState& state) noexcept {
  PythonMemo& memo = *state.python_memo;
  PythonStack stack{{}, 0};
  const std::uint64_t codes = g_code_generation.load(std::memory_order_acquire);
  if (memo.code_generation != codes) [[unlikely]] {
    memo.count = 0;
    memo.code_generation = codes;
  }
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
  const std::byte* const innermost = innermost_frame(python->layout, thread_state);
  const bool read = walk_frames(*python, memo, innermost, stack.flags);
  if (!read) [[unlikely]] {
    memo.count = 0;
    stack.flags |= trace::stack_python_unreadable;
  } else if (memo.count > 0) {
    stack.hash = memo.hash[memo.count - 1];
  }
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
