// One stack out of two: Python's frames take the place of the interpreter's own frames in the native stack.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vramtrack {

/// What a native frame is to the merge.
enum class NativeRole : std::uint8_t {
  plain,        // kept
  evaluator,    // runs Python code: Python frames up to the next entry frame take its place
  interpreter,  // the interpreter's helpers around the evaluator: hidden
  start,        // what the C library runs before main or a thread's function: hidden below the outermost Python frame
  tracer,       // our own, and what observing operators adds: hidden
};

/// Tells the role from the function's name ("" when unknown) and its module's path.
NativeRole native_role(std::string_view function, std::string_view module) noexcept;

struct MergedFrame {
  bool python;
  std::uint32_t index;  // into the Python or the native frames
};

/// Both stacks innermost first. `python_entry[i]`: frame i is the outermost Python frame of its C evaluation. Every
/// Python frame is in the result, once and in order, whatever the native stack looks like.
std::vector<MergedFrame> merge_stack(std::span<const std::uint8_t> python_entry, std::span<const NativeRole> native);

}  // namespace vramtrack
