#include "interpose/cuda/originals.hpp"

#include <dlfcn.h>

#include "interpose/core/lock.hpp"
#include "interpose/core/object_at.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/doors.hpp"
#include "interpose/cuda/elf.hpp"

namespace vramtrack::hooks {

namespace {

constexpr const char* runtime_sonames[] = {"libcudart.so.11.0", "libcudart.so.12", "libcudart.so.13"};
constexpr const char* driver_soname = "libcuda.so.1";

std::atomic<void*> g_original[row_count][runtime_slots];

constexpr std::string_view torch_allocator_soname = "libc10_cuda.so";

// What a calling module is, remembered by its link map: which runtime it was linked to, and whether it is PyTorch's
// allocator. Three bits of value under a pointer aligned to 8.
constexpr std::size_t module_slots = 64;
constexpr std::uint64_t runtime_bits = 3, torch_bit = 4, caller_bits = runtime_bits | torch_bit;
std::atomic<std::uint64_t> g_callers[module_slots];

const void* link_map_of(std::uintptr_t ip) noexcept {
  if (tells_objects()) return object_at(reinterpret_cast<const void*>(ip));
  Dl_info info;
  link_map* map = nullptr;
  return dladdr1(reinterpret_cast<void*>(ip), &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) ? map : nullptr;
}

std::uint64_t look_at_caller(std::uintptr_t ip) noexcept {
  const Module module = module_of(reinterpret_cast<const void*>(ip));
  if (!module) return unknown_runtime;
  const std::uint64_t torch = soname_of(module) == torch_allocator_soname ? torch_bit : 0;
  for (unsigned r = 0; r < unknown_runtime; ++r)
    if (needs(module, runtime_sonames[r])) return torch | r;
  return torch | unknown_runtime;
}

/// runtime_bits and torch_bit of the module that holds `ip`.
std::uint64_t caller(std::uintptr_t ip) noexcept {
  const auto map = reinterpret_cast<std::uint64_t>(link_map_of(ip));
  if (map == 0) return unknown_runtime;
  auto& slot = g_callers[(map >> 4) % module_slots];
  const std::uint64_t seen = slot.load(std::memory_order_relaxed);
  if ((seen & ~caller_bits) == map) [[likely]]
    return seen & caller_bits;
  const SignalsWait signals_wait;
  const std::uint64_t found = look_at_caller(ip);
  slot.store(map | found, std::memory_order_relaxed);
  return found;
}

unsigned runtime_of_caller(std::uintptr_t ip) noexcept { return static_cast<unsigned>(caller(ip) & runtime_bits); }

// Kept loaded for ever: function pointers into it are cached. CUDA's libraries are not built to be unloaded anyway.
void pin(const Module& module) noexcept {
  if (module.path != nullptr && module.path[0] != 0 &&
      dlopen(module.path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) == nullptr)
    dlerror();
}

void* function_in(const char* soname, const char* name) noexcept {
  const SignalsWait signals_wait;
  const Module module = find_module(soname);
  void* function = symbol_of(module, name);
  if (function != nullptr) pin(module);
  return function;
}

/// The next definition after ours in the global scope: another interposer's, or a library's.
void* next_definition(const char* name) noexcept {
  void* next = real_dlsym(RTLD_NEXT, name);
  if (next == nullptr) dlerror();
  return own_text(next) ? nullptr : next;
}

unsigned runtime_at(const void* function) noexcept {
  const std::string_view soname = soname_of(module_of(function));
  for (unsigned r = 0; r < unknown_runtime; ++r)
    if (soname == runtime_sonames[r]) return r;
  return unknown_runtime;
}

void* resolve_runtime(const char* name, unsigned runtime) noexcept {
  void* next = next_definition(name);
  if (runtime == unknown_runtime) {
    if (next != nullptr) return next;
    for (unsigned r = unknown_runtime; r-- > 0;)
      if (void* found = function_in(runtime_sonames[r], name)) return found;
    return nullptr;
  }
  // Another interposer serves every major; a runtime serves only its own.
  if (next != nullptr && runtime_at(next) == unknown_runtime) return next;
  return function_in(runtime_sonames[runtime], name);
}

void* resolve_driver(const char* name) noexcept {
  void* next = next_definition(name);
  return next != nullptr ? next : function_in(driver_soname, name);
}

}  // namespace

void* real_for_caller(Row row, std::uintptr_t ip) noexcept {
  const RowInfo& function = info(row);
  const unsigned runtime = function.api == Api::driver ? unknown_runtime : runtime_of_caller(ip);
  auto& cached = g_original[static_cast<std::size_t>(row)][runtime];
  void* real = cached.load(std::memory_order_acquire);
  if (real != nullptr) [[likely]]
    return real;
  const SavedErrno keep;
  const SignalsWait signals_wait;
  real = function.api == Api::driver ? resolve_driver(function.name) : resolve_runtime(function.name, runtime);
  cached.store(real, std::memory_order_release);
  return real;
}

bool called_by_torch(std::uintptr_t ip) noexcept { return (caller(ip) & torch_bit) != 0; }

void* runtime_function(unsigned runtime, const char* name) noexcept {
  return runtime < unknown_runtime ? function_in(runtime_sonames[runtime], name) : nullptr;
}

void* driver_function(const char* name) noexcept {
  const SavedErrno keep;
  return function_in(driver_soname, name);
}

bool called_by_name(Row row) noexcept {
  for (const auto& original : g_original[static_cast<std::size_t>(row)])
    if (original.load(std::memory_order_relaxed) != nullptr) return true;
  return false;
}

unsigned loaded_runtimes() noexcept {
  const SignalsWait signals_wait;
  unsigned mask = 0;
  for (unsigned r = 0; r < unknown_runtime; ++r)
    if (find_module(runtime_sonames[r])) mask |= 1u << r;
  return mask;
}

}  // namespace vramtrack::hooks
