// The ELF objects of this process: which one an address lies in, and their records in the trace. Any thread.
//
// An object that is unloaded and loaded again at the same place keeps its id; module_gone is recorded only when another
// object takes (part of) its place, so that a plugin that comes and goes does not make the trace grow.
#pragma once

#include <cstdint>

namespace vramtrack::stacks {

inline constexpr std::uint32_t no_module = 0;  // not in any object: JIT code

/// Takes note of objects that came or went since the last call; true when some did. Costs one pass over the list of
/// objects only when the loader's counters moved.
bool refresh_modules() noexcept;

/// The object that holds `address`, from the last refresh.
std::uint32_t module_of(std::uintptr_t address) noexcept;

/// Writes the object's record to the active trace unless that has been done.
void record_module(std::uint32_t module) noexcept;

/// Nothing is recorded in the next trace yet.
void forget_modules() noexcept;
/// In a forked child: the lock is open.
void unlock_modules() noexcept;

}  // namespace vramtrack::stacks
