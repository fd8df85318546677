// The hook table at run time: every row's name, its exported wrapper, and wrappers for real functions that were looked
// up by pointer (dlsym on a handle, cuGetProcAddress): each distinct real pointer gets a wrapper of its own, once, so
// that two runtimes, a driver and a shim around it can all be in one process. Any thread; lock-free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "interpose/cuda/call.hpp"

namespace vramtrack::hooks {

enum class Row : std::uint16_t {
#define HOOK(api, since, name, parameters, arguments, policy) name,
#include "contract/cuda_hooks.def"
#undef HOOK
  count
};
inline constexpr std::size_t row_count = static_cast<std::size_t>(Row::count);

/// Real functions of one row: by the caller's runtime (exported wrapper), then by pointer (one wrapper each).
inline constexpr unsigned runtime_slots = 4;  // .so.11.0, .so.12, .so.13, unknown; the driver uses the last only
inline constexpr unsigned pointer_slots = 4;
inline constexpr unsigned unknown_runtime = 3;

struct RowInfo {
  const char* name;
  Api api;
  std::uint32_t since;
  void* exported;
  void* by_pointer[pointer_slots];
};
extern const RowInfo runtime_rows[];  // indexed by Row, from 0
extern const RowInfo driver_rows[];   // indexed by Row minus the number of runtime rows
const RowInfo& info(Row row) noexcept;

/// The row of an exact name; Row::count when the name is not hooked.
Row find_row(const char* name) noexcept;

/// The wrapper to hand out instead of `real`: an own wrapper bound to it, or `real` itself when it is already ours or
/// when all wrappers of the row are taken (counted in unwrapped()).
void* wrap(Row row, void* real) noexcept;
std::uint32_t unwrapped() noexcept;

/// True for an address inside this library, which lies from the first to the second of own_range().
bool own_text(const void* address) noexcept;
std::pair<std::uintptr_t, std::uintptr_t> own_range() noexcept;

void* real_of_pointer(Row row, unsigned slot) noexcept;

}  // namespace vramtrack::hooks
