#include "tools/sim/driver/copy.hpp"

#include <cstring>

namespace vramtrack::sim {

namespace {

void* as_pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

/// Whether the range was ever written. Ranges outside the books (host memory) count as written.
bool is_touched(std::uint64_t address, std::uint64_t bytes) {
  const std::lock_guard lock(driver().lock);
  for (std::uint64_t at = address; at < address + bytes;) {
    const Allocation* found = find_allocation(at);
    if (found == nullptr || found->touched) return true;
    at = found->base + found->span;
  }
  return false;
}

void touch(std::uint64_t address, std::uint64_t bytes) {
  const std::lock_guard lock(driver().lock);
  for (std::uint64_t at = address; at < address + bytes;) {
    Allocation* found = find_allocation(at);
    if (found == nullptr) return;
    found->touched = true;
    at = found->base + found->span;
  }
}

}  // namespace

bool is_simulated(std::uint64_t address, std::uint64_t bytes) {
  for (std::uint64_t at = address; at < address + bytes;) {
    const Allocation* found = find_allocation(at);
    if (found == nullptr) return false;
    at = found->base + found->span;
  }
  return true;
}

void copy_bytes(std::uint64_t target, std::uint64_t source, std::uint64_t bytes) {
  if (bytes == 0) return;
  if (!is_touched(source, bytes)) {
    if (is_touched(target, bytes)) std::memset(as_pointer(target), 0, bytes);
    return;
  }
  touch(target, bytes);
  std::memmove(as_pointer(target), as_pointer(source), bytes);
}

void fill_bytes(std::uint64_t target, std::uint64_t value, unsigned value_bytes, std::uint64_t count) {
  const std::uint64_t bytes = count * value_bytes;
  if (bytes == 0) return;
  if (value == 0 && !is_touched(target, bytes)) return;
  touch(target, bytes);
  if (value_bytes == 1 || value == 0) {
    std::memset(as_pointer(target), static_cast<int>(value & 0xff), bytes);
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) std::memcpy(as_pointer(target + i * value_bytes), &value, value_bytes);
}

}  // namespace vramtrack::sim
