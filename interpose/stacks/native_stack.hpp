// libunwind, the reference and the fallback for what our own rules (native_memo.hpp) do not cover. Any thread.
#pragma once

#include <cstdint>

#include "interpose/core/event.hpp"
#include "interpose/stacks/state.hpp"

namespace vramtrack::stacks {

/// Loads libunwind, out of the way of the process's own unwinder: dlopen(RTLD_LOCAL), never a NEEDED entry (that would
/// put its _Unwind_* and backtrace before libgcc's and glibc's for everyone).
void load_libunwind() noexcept;

/// Full walk of the calling thread by libunwind, from the frame that `start` describes. 0 when that frame is not found
/// or there is no libunwind. `truncated` is set when there were more frames than `max`.
std::uint32_t walk_libunwind(const CaptureStart& start, std::uint64_t* frames, std::uint32_t max,
                             bool& truncated) noexcept;

/// Whether a function of the code from `begin` to `end` stands on the calling thread's stack above the frame that
/// `start` describes. True where that cannot be told.
bool stands_above(const CaptureStart& start, std::uintptr_t begin, std::uintptr_t end) noexcept;

}  // namespace vramtrack::stacks
