// Looks at the loaded ELF objects directly: without dlopen and dlsym (ours are hooked, and failing ones leave a message
// in dlerror that the host may be about to read). Takes the loader's lock for a moment; any thread.
#pragma once

#include <link.h>

#include <cstdint>
#include <string_view>

namespace vramtrack::hooks {

struct Module {
  std::uintptr_t base = 0;
  const ElfW(Dyn) * dynamic = nullptr;
  const char* path = nullptr;
  explicit operator bool() const noexcept { return dynamic != nullptr; }
};

/// The first loaded object whose DT_SONAME is `soname`.
Module find_module(const char* soname) noexcept;
/// Same, for libraries that the program was started with. Calls nothing at all: for code that may run before the
/// process is initialised, while dl_iterate_phdr may be somebody's who is not ready.
Module find_module_early(const char* soname) noexcept;
/// The object that holds `address`.
Module module_of(const void* address) noexcept;
std::string_view soname_of(const Module& module) noexcept;
bool needs(const Module& module, const char* soname) noexcept;
/// A defined dynamic function symbol of this object only (its default version), or nullptr.
void* symbol_of(const Module& module, const char* name) noexcept;
/// The first definition of `name` in an object loaded after the one that holds `self`: the next interposer's in the
/// preload order, else the real one. nullptr when there is none.
void* symbol_after(const void* self, const char* name) noexcept;
/// Symbol versions are ignored above; this finds name@version.
void* versioned_symbol_of(const Module& module, const char* name, const char* version) noexcept;

}  // namespace vramtrack::hooks
