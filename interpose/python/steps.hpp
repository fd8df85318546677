// The step clock's memory: autograd sequence numbers at each optimizer step (graph node -> step), what was alive at
// step boundaries, and whether a look at the frames is due. Called with the GIL held.
#pragma once

#include <cstdint>

namespace vramtrack::agent {

/// An optimizer step ended; `sequence` is the thread's autograd sequence number now. When a look is due, why:
/// "growth" when blocks survive or graphs reach over steps, else "step"; nullptr when none is due.
const char* step_done(std::uint64_t sequence) noexcept;

/// A look saw a graph that spans several steps: look again soon.
void suspect() noexcept;

/// How many steps had ended when a graph node with this number was made; -1 when unknown.
std::int64_t step_of(std::uint64_t sequence) noexcept;

struct LiveState {
  std::uint32_t step;
  std::uint64_t bytes, blocks;  // of the tensor layer, all devices
  std::uint64_t freed;          // blocks so far
};
LiveState live_state() noexcept;

/// The peaks of the tensor layer so far, live and reserved, of all devices, added up.
std::uint64_t heights() noexcept;

/// Writes the note `step_live`: [[step, bytes, blocks], ...] at step boundaries, at most 128 of them.
void note_step_live() noexcept;

void reset_steps() noexcept;

}  // namespace vramtrack::agent
