// A shared mapping of a file that somebody truncates raises SIGBUS at the next touch. That must not end the program:
// pages of zeros take the place of those that are gone, and recording stops.
#pragma once

#include <cstddef>

namespace vramtrack::trace {

/// Where the mapped trace lies: called in the signal handler with an address; the granted part of the region that holds
/// it, or nothing. Takes no lock.
struct MappedPart {
  std::byte* begin = nullptr;
  std::size_t bytes = 0;
};
using FindMapped = MappedPart (*)(const void* address);

/// Puts a handler for SIGBUS before the one that is installed, which gets every other signal of that number. `lost` is
/// called in the handler, once: recording must stop without a word. Once a process; a handler that the program installs
/// later takes its place.
void survive_truncation(FindMapped find, void (*lost)()) noexcept;

}  // namespace vramtrack::trace
