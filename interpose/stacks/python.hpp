// The CPython interpreter of this process, found by its exported symbols, and the reading of a thread's own frames.
// Any thread, GIL not needed: a thread's frame chain does not change while that thread is inside a hook.
#pragma once

#include <atomic>
#include <cstdint>

#include "interpose/stacks/python_layout.hpp"

namespace vramtrack::stacks {

struct Python {
  PythonLayout layout;
  void* (*this_thread_state)();  // PyGILState_GetThisThreadState
  int (*is_finalizing)();
  const void* code_type;
  const void* frame_type;
  const void* string_type;
  const void* bytes_type;
  const void* cell_type;
};

/// The interpreter, once it was found and its layout verified; nullptr before, or when it cannot be read.
extern std::atomic<const Python*> g_python;

/// Why there is no g_python yet, or that there is.
enum class PythonSearch : std::uint32_t { again, absent, unverified, unreadable, ready };
extern std::atomic<PythonSearch> g_python_search;

/// Looks for an interpreter where one may have come (first event, libraries came). Cheap when nothing is to be done.
void find_python() noexcept;

/// Libraries came: an interpreter may be among them.
void python_may_have_come() noexcept;

/// In a forked child: locks are open again.
void unlock_python_search() noexcept;

/// The calling thread's Python thread state; nullptr when it has none, or when the interpreter is on its way out.
const std::byte* python_thread_state(const Python& python) noexcept;

/// Reads memory that may not be there. Slow.
bool safe_read(const void* from, void* to, std::size_t bytes) noexcept;

template <class T>
T read_at(const void* object, std::size_t offset) noexcept {
  T value;
  __builtin_memcpy(&value, static_cast<const std::byte*>(object) + offset, sizeof value);
  return value;
}

/// The code object of a frame. From 3.14 the low bits of the field are tags; objects are aligned, so before they are 0.
inline const std::byte* untagged(const std::byte* object) noexcept {
  return reinterpret_cast<const std::byte*>(reinterpret_cast<std::uintptr_t>(object) & ~std::uintptr_t{3});
}

/// The innermost frame of a thread state, incomplete or not; nullptr: no Python frame.
inline const std::byte* innermost_frame(const PythonLayout& l, const std::byte* thread_state) noexcept {
  const auto* const frame = read_at<const std::byte*>(thread_state, l.frame);
  if (l.current_frame < 0 || frame == nullptr) return frame;
  return read_at<const std::byte*>(frame, static_cast<std::size_t>(l.current_frame));
}

}  // namespace vramtrack::stacks
