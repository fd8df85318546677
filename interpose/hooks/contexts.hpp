// Which allocations die with which context. cuCtxDestroy and a device reset free what cuMemAlloc, cuMemHostAlloc,
// cuMemHostRegister, cuArrayCreate and their runtime twins made in that context, but not pool and VMM memory. The
// ledger knows no contexts, so the addresses are kept here. Any thread.
#pragma once

#include <cstdint>

#include "interpose/event.hpp"

namespace vramtrack::hooks::contexts {

/// The calling thread's current context, or 0 (no driver, none current). Never creates one.
std::uint64_t current() noexcept;

/// The block was just allocated by this thread, in its current context.
void own(std::uint64_t address, Kind kind, std::int16_t device) noexcept;

struct Owned {
  std::uint64_t context = 0;
  std::int16_t device = -1;
  Kind kind = Kind::device;
};
/// The block is being freed; what was known about it, to take back when that fails.
Owned disown(std::uint64_t address, Kind kind) noexcept;
void restore(std::uint64_t address, const Owned& owned) noexcept;

/// In a forked child.
void reset() noexcept;

}  // namespace vramtrack::hooks::contexts
