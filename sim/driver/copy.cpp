#include "sim/driver/copy.hpp"

#include <sys/mman.h>

#include <cstring>

#include "sim/driver/stream_work.hpp"

namespace vramtrack::sim {

namespace {

void* as_pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

thread_local struct {
  bool known = false;
  std::uint64_t value = 0;
} t_answer;

/// Whether the books know which bytes of this memory were written. Host memory may be written behind our back.
bool is_tracked(const Allocation* allocation) {
  if (allocation == nullptr) return false;
  switch (allocation->kind) {
    case Kind::device:
    case Kind::pool:
    case Kind::graph:
    case Kind::vmm:
    case Kind::module:
      return true;
    default:
      return false;
  }
}

bool is_device(std::uint64_t address) {
  const std::lock_guard lock(driver().lock);
  return is_tracked(find_allocation(address));
}

/// Zeroes; whole pages of a large range go back to the system.
void zero(std::uint64_t start, std::uint64_t end) {
  const std::uint64_t page = system_page(), worth_a_call = 64 * page;
  const std::uint64_t first = round_up(start, page), last = end / page * page;
  if (end - start < worth_a_call || madvise(as_pointer(first), last - first, MADV_REMOVE) != 0) {
    std::memset(as_pointer(start), 0, end - start);
    return;
  }
  std::memset(as_pointer(start), 0, first - start);
  std::memset(as_pointer(last), 0, end - last);
}

}  // namespace

void answer_next_copy(std::uint64_t value) { t_answer = {true, value}; }
bool answer_is_waiting() { return t_answer.known; }
void withdraw_answer() { t_answer.known = false; }

void mark_written(std::uint64_t address, std::uint64_t bytes) {
  const std::lock_guard lock(driver().lock);
  if (is_tracked(find_allocation(address))) driver().written.add(address, address + bytes);
}

bool is_simulated(std::uint64_t address, std::uint64_t bytes) {
  for (std::uint64_t at = address; at < address + bytes;) {
    const Allocation* found = find_allocation(at);
    if (found == nullptr) return false;
    at = found->base + found->span;
  }
  return true;
}

bool may_hold_data(std::uint64_t address, std::uint64_t bytes) {
  const std::lock_guard lock(driver().lock);
  return !is_tracked(find_allocation(address)) || driver().written.intersects(address, address + bytes);
}

void forget_bytes(std::uint64_t address, std::uint64_t bytes) {
  await_range(address, bytes);
  const std::lock_guard lock(driver().lock);
  for (const auto& [start, end] : driver().written.remove(address, address + bytes)) zero(start, end);
}

void copy_bytes(std::uint64_t target, std::uint64_t source, std::uint64_t bytes) {
  if (bytes == 0) return;
  if (t_answer.known && bytes <= sizeof t_answer.value && is_device(source) && !is_device(target)) {
    t_answer.known = false;
    std::memcpy(as_pointer(target), &t_answer.value, bytes);
    return;
  }
  if (!may_hold_data(source, bytes)) {
    if (!is_device(target)) driver().usage.count_unknown_read();
    fill_bytes(target, 0, 1, bytes);
    return;
  }
  mark_written(target, bytes);
  std::memmove(as_pointer(target), as_pointer(source), bytes);
}

void fill_bytes(std::uint64_t target, std::uint64_t value, unsigned value_bytes, std::uint64_t count) {
  const std::uint64_t bytes = count * value_bytes;
  if (bytes == 0) return;
  if (value == 0 && !may_hold_data(target, bytes)) return;
  if (value != 0) mark_written(target, bytes);
  if (value_bytes == 1 || value == 0) {
    std::memset(as_pointer(target), static_cast<int>(value & 0xff), bytes);
    return;
  }
  for (std::uint64_t i = 0; i < count; ++i) std::memcpy(as_pointer(target + i * value_bytes), &value, value_bytes);
}

}  // namespace vramtrack::sim
