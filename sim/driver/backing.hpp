// The memory under the simulated devices: one sparse memory file per process, so that nothing is used until it is
// written, physical memory can be mapped twice, and another process can open it (IPC).
//
//   file:  | arena of device 0 | arena of device 1 | ... | physical handles (VMM, exportable) ... |
//
// Each arena is mapped once, as a whole; cuMemAlloc hands out ranges of it. Not thread-safe: callers hold the
// driver's lock.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <vector>

#include "sim/core/ranges.hpp"

namespace vramtrack::sim {

inline constexpr std::uint64_t big_page = 2ull << 20;

inline constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// Of the system that this runs on: what mmap and madvise want multiples of.
inline std::uint64_t system_page() { return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)); }

class Backing {
 public:
  /// False when the process may not have that much address space (ulimit -v); then nothing is mapped.
  bool open(int devices, std::uint64_t device_bytes);

  /// Address of `size` bytes in the device's arena, or 0. Contents are zero.
  std::uint64_t take(int device, std::uint64_t size, std::uint64_t alignment);
  /// `written`: it was written, so its pages go back to the system and it reads as zero again.
  void give(int device, std::uint64_t address, std::uint64_t size, bool written);

  /// File offset of `size` bytes of physical memory (a multiple of big_page).
  std::uint64_t take_physical(std::uint64_t size);
  void give_physical(std::uint64_t offset, std::uint64_t size);
  /// Maps physical memory over [address, address + size); offset and address are multiples of the page size.
  bool map_at(std::uint64_t address, std::uint64_t size, std::uint64_t offset, int fd = -1) const;
  /// Address space with nothing in it, aligned; 0 when there is none.
  static std::uint64_t reserve(std::uint64_t size, std::uint64_t alignment, std::uint64_t hint);
  static void unreserve(std::uint64_t address, std::uint64_t size);
  static void unmap_at(std::uint64_t address, std::uint64_t size);

  int fd() const { return m_fd; }
  /// Offset in the file of an arena address.
  std::uint64_t offset_of(int device, std::uint64_t address) const;

 private:
  struct Arena {
    std::uint64_t base = 0;
    Ranges free;
  };
  int m_fd = -1;
  std::uint64_t m_arena_bytes = 0;
  std::vector<Arena> m_arenas;
  Ranges m_physical;
};

/// Another number for the same file, away from those that programs and shells count on. -1 on failure.
int duplicate_descriptor(int descriptor);

/// A memory file of its own, named so that an importing process recognises it. -1 on failure.
int create_memory_file(const char* name, std::uint64_t size);

}  // namespace vramtrack::sim
