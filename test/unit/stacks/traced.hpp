// A trace with stack capture started and every captured stack checked.
#pragma once

#include "../trace/temporary_trace.hpp"
#include "interpose/stacks/check.hpp"
#include "interpose/stacks/stacks.hpp"
#include "interpose/stacks/state.hpp"

namespace vramtrack {

class CheckedTrace : public TemporaryTrace {
 public:
  CheckedTrace() {
    static const bool once = (stacks::init({}), true);
    (void)once;
    stacks::reset();
    stacks::g_options.check = true;
    before_ = stacks::check_counts();
  }

  stacks::CheckCounts counts() const {
    const stacks::CheckCounts now = stacks::check_counts();
    return {now.stacks - before_.stacks, now.by_python - before_.by_python, now.mismatches - before_.mismatches,
            now.unverifiable - before_.unverifiable};
  }

 private:
  stacks::CheckCounts before_;
};

/// What a hook does: captures from its own frame.
[[gnu::noinline]] inline stacks::Captured capture_here() {
  const CaptureStart start = VRAMTRACK_HERE();
  const stacks::Captured captured = stacks::capture(start);
  asm volatile("");  // no tail call: this frame must be there
  return captured;
}

}  // namespace vramtrack
