#include "sim/driver/backing.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "contract/sim_settings.hpp"

namespace vramtrack::sim {

namespace {

constexpr std::uint64_t file_bytes = 1ull << 50;

void* as_pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

void* map_aligned(std::uint64_t size, std::uint64_t alignment, std::uint64_t hint) {
  const std::uint64_t slack = alignment > system_page() ? alignment : 0;
  void* raw = mmap(as_pointer(hint), size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<std::uint64_t>(raw);
  const std::uint64_t aligned = slack ? round_up(start, alignment) : start;
  if (aligned > start) munmap(raw, aligned - start);
  const std::uint64_t tail = start + size + slack - (aligned + size);
  if (tail) munmap(as_pointer(aligned + size), tail);
  return as_pointer(aligned);
}

}  // namespace

bool Backing::open(int devices, std::uint64_t device_bytes) {
  m_fd = create_memory_file(memory_file, file_bytes);
  if (m_fd < 0) return false;
  // Room to spare, so that a device is never full because its addresses are fragmented.
  m_arena_bytes = std::max<std::uint64_t>(device_bytes * 4, 16ull << 30);
  m_arenas.resize(static_cast<std::size_t>(devices));
  std::uint64_t offset = 0;
  for (Arena& arena : m_arenas) {
    void* base = map_aligned(m_arena_bytes, big_page, 0);
    if (base == nullptr) return false;
    if (mmap(base, m_arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, m_fd,
             static_cast<off_t>(offset)) == MAP_FAILED) {
      return false;
    }
    madvise(base, m_arena_bytes, MADV_DONTDUMP);
    arena.base = reinterpret_cast<std::uint64_t>(base);
    arena.free.add(arena.base, m_arena_bytes);
    offset += m_arena_bytes;
  }
  m_physical.add(offset, file_bytes - offset);
  return true;
}

std::uint64_t Backing::take(int device, std::uint64_t size, std::uint64_t alignment) {
  return m_arenas[static_cast<std::size_t>(device)].free.take(round_up(size, alignment), alignment);
}

std::uint64_t Backing::offset_of(int device, std::uint64_t address) const {
  const auto index = static_cast<std::size_t>(device);
  return index * m_arena_bytes + (address - m_arenas[index].base);
}

void Backing::give(int device, std::uint64_t address, std::uint64_t size, bool written) {
  if (written) {
    // Whole pages go back to the system; fallocate itself writes zeros over the partial pages at both ends.
    const auto offset = static_cast<off_t>(offset_of(device, address));
    fallocate(m_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, static_cast<off_t>(size));
  }
  m_arenas[static_cast<std::size_t>(device)].free.give(address, size);
}

std::uint64_t Backing::take_physical(std::uint64_t size) { return m_physical.take(size, big_page); }

void Backing::give_physical(std::uint64_t offset, std::uint64_t size) {
  fallocate(m_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset), static_cast<off_t>(size));
  m_physical.give(offset, size);
}

bool Backing::map_at(std::uint64_t address, std::uint64_t size, std::uint64_t offset, int fd) const {
  void* const mapped = mmap(as_pointer(address), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                            fd >= 0 ? fd : m_fd, static_cast<off_t>(offset));
  if (mapped == MAP_FAILED) return false;
  madvise(mapped, size, MADV_DONTDUMP);
  return true;
}

std::uint64_t Backing::reserve(std::uint64_t size, std::uint64_t alignment, std::uint64_t hint) {
  return reinterpret_cast<std::uint64_t>(map_aligned(size, std::max(alignment, big_page), hint));
}

void Backing::unreserve(std::uint64_t address, std::uint64_t size) { munmap(as_pointer(address), size); }

void Backing::unmap_at(std::uint64_t address, std::uint64_t size) {
  static_cast<void>(
      mmap(as_pointer(address), size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0));
}

}  // namespace vramtrack::sim
