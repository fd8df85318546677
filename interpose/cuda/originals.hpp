// Finds the real functions. Never by RTLD_NEXT alone: that is NULL for a runtime opened with RTLD_LOCAL, and the wrong
// major when two runtimes are loaded. Any thread, also under the loader's lock; keeps errno and the pending dlerror.
#pragma once

#include <cstdint>

#include "interpose/cuda/table.hpp"

namespace vramtrack::hooks {

/// The function that the caller at `ip` would have reached without us: the one of the runtime major that its module
/// was linked to, or another interposer's that comes after us; nullptr when there is none (yet).
void* real_for_caller(Row row, std::uintptr_t ip) noexcept;

/// Whether the caller at `ip` is PyTorch's allocator (libc10_cuda.so).
bool called_by_torch(std::uintptr_t ip) noexcept;

/// A function of a loaded CUDA library that need not be hooked itself (never one of ours), or nullptr.
void* runtime_function(unsigned runtime, const char* name) noexcept;
void* driver_function(const char* name) noexcept;
template <class F>
F* driver_function(const char* name) noexcept {
  return reinterpret_cast<F*>(driver_function(name));
}
/// Same, looked up once and remembered while found.
#define VRAMTRACK_DRIVER(name)                                                                         \
  ([]() noexcept -> decltype(&::name) {                                                                \
    static std::atomic<decltype(&::name)> found{nullptr};                                              \
    auto* function = found.load(std::memory_order_relaxed);                                            \
    if (function == nullptr) {                                                                         \
      function = ::vramtrack::hooks::driver_function<std::remove_pointer_t<decltype(&::name)>>(#name); \
      found.store(function, std::memory_order_relaxed);                                                \
    }                                                                                                  \
    return function;                                                                                   \
  }())

/// Bit r is set when runtime r (see runtime_slots) is loaded.
unsigned loaded_runtimes() noexcept;

/// Whether a caller of the exported wrapper of this row was ever led to a real function.
bool called_by_name(Row row) noexcept;

}  // namespace vramtrack::hooks
