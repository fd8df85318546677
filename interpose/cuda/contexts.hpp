// Which allocations die with which context. cuCtxDestroy and a device reset free what cuMemAlloc, cuMemHostAlloc,
// cuMemHostRegister, cuArrayCreate and their runtime twins made in that context, but not pool and VMM memory. The
// ledger knows no contexts, so the addresses are kept here. Any thread.
#pragma once

#include <cstdint>

#include "interpose/core/event.hpp"

namespace vramtrack::hooks::contexts {

/// The calling thread's current context, or 0 (no driver, none current). Never creates one.
std::uint64_t current() noexcept;

/// Counts the calls that kill all blocks of a context at once, at their begin and at their end. A hook reads it before
/// its real call: what is allocated while a context dies may be on either side of that.
std::uint32_t deaths() noexcept;
/// Whether a context died, or is just dying, since deaths() returned `then`.
bool died_since(std::uint32_t then) noexcept;
/// Asks the driver whether a block is still there.
bool alive(std::uint64_t address, Kind kind) noexcept;

/// The block was just allocated by this thread, in its current context, by a call that began at `deaths`.
void own(std::uint64_t address, Kind kind, std::int16_t device, std::uint32_t deaths) noexcept;

struct Owned {
  std::uint64_t context = 0;
  std::int16_t device = -1;
  Kind kind = Kind::device;
  std::uint32_t born = 0;  // deaths() before its call
};
/// The block is being freed; what was known about it, to take back when that fails.
Owned disown(std::uint64_t address, Kind kind) noexcept;
void restore(std::uint64_t address, const Owned& owned) noexcept;

/// In a forked child.
void reset() noexcept;

}  // namespace vramtrack::hooks::contexts
