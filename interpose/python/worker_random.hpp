// Which forked children drew random numbers from NumPy's global generator as they inherited it: then they all got the
// same numbers. Only Mersenne twisters (NumPy's global generator) are compared; CPython reseeds its own in each child.
//
// Before a fork, in the parent: the generator's state is copied. In the child: a thread without the GIL compares the
// state now and then (a pool ends its workers by SIGTERM), and once more at _exit. The answer goes into a page shared
// by fork, from which the parent writes the note `worker_rng` at its end. Touches no Python object but that state.
#pragma once

#include <cstdint>
#include <string_view>

namespace vramtrack::agent {

/// Parent, GIL held: a fork follows. `state` points to NumPy's {uint32 key[624]; int pos}, or is nullptr: nothing to
/// watch. `file` and `line`: where the script started the child.
void before_fork(const void* state, std::string_view file, std::uint32_t line) noexcept;

/// Child, GIL held, right after the fork.
void forked_child() noexcept;

/// Child, at its end.
void child_ends() noexcept;

/// Parent: writes the note, if any child was watched.
void note_worker_rng() noexcept;

namespace twister {
inline constexpr int words = 624;
struct State {
  std::uint32_t key[words];
  std::int32_t pos;
};
enum class Change { none, drawn, reseeded };
struct Comparison {
  Change change;
  std::uint64_t draws;  // 32-bit words taken
};
/// How `now` came from `before`: bounded by `max_blocks` refills.
Comparison compare(const State& before, const State& now, int max_blocks) noexcept;
}  // namespace twister

}  // namespace vramtrack::agent
