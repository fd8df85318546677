// Programs that do to their stack what real ones do, and call `shot` from the middle of it.
#pragma once

#include <cstdint>

namespace vramtrack {

struct Random {
  std::uint64_t state;
  std::uint32_t operator()(std::uint32_t below) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<std::uint32_t>(state >> 33) % below;
  }
};

/// `events` captures from random nests of plain calls, alloca, realigned frames, exceptions, longjmp and fibers.
void hostile_bp(std::uint64_t seed, int events, void (*shot)());
void hostile_sp(std::uint64_t seed, int events, void (*shot)());

}  // namespace vramtrack
