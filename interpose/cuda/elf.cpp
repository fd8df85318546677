#include "interpose/cuda/elf.hpp"

#include "interpose/core/text.hpp"

#pragma weak _r_debug  // the loader's: no library is asked for by its name

namespace vramtrack::hooks {

namespace {

struct Tables {
  const char* strings = nullptr;
  const ElfW(Sym) * symbols = nullptr;
  const std::uint32_t* gnu_hash = nullptr;
  const std::uint32_t* sysv_hash = nullptr;
  const ElfW(Versym) * versions = nullptr;
  const ElfW(Verdef) * definitions = nullptr;
  std::size_t definition_count = 0;
  std::size_t soname = 0;
};

// glibc relocates the d_ptr of a loaded object's own dynamic section, other loaders do not: accept both.
template <class T>
const T* pointer(const Module& module, const ElfW(Dyn) & entry) noexcept {
  std::uintptr_t value = entry.d_un.d_ptr;
  if (value < module.base) value += module.base;
  return reinterpret_cast<const T*>(value);
}

Tables tables_of(const Module& module) noexcept {
  Tables t;
  for (const ElfW(Dyn)* d = module.dynamic; d != nullptr && d->d_tag != DT_NULL; ++d) {
    switch (d->d_tag) {
      case DT_STRTAB:
        t.strings = pointer<char>(module, *d);
        break;
      case DT_SYMTAB:
        t.symbols = pointer<ElfW(Sym)>(module, *d);
        break;
      case DT_GNU_HASH:
        t.gnu_hash = pointer<std::uint32_t>(module, *d);
        break;
      case DT_HASH:
        t.sysv_hash = pointer<std::uint32_t>(module, *d);
        break;
      case DT_VERSYM:
        t.versions = pointer<ElfW(Versym)>(module, *d);
        break;
      case DT_VERDEF:
        t.definitions = pointer<ElfW(Verdef)>(module, *d);
        break;
      case DT_VERDEFNUM:
        t.definition_count = d->d_un.d_val;
        break;
      case DT_SONAME:
        t.soname = d->d_un.d_val;
        break;
      default:
        break;
    }
  }
  return t;
}

const char* version_name(const Tables& t, unsigned index) noexcept {
  const ElfW(Verdef)* definition = t.definitions;
  for (std::size_t i = 0; definition != nullptr && i < t.definition_count; ++i) {
    const char* at = reinterpret_cast<const char*>(definition);
    if (definition->vd_ndx == index)
      return t.strings + reinterpret_cast<const ElfW(Verdaux)*>(at + definition->vd_aux)->vda_name;
    definition = reinterpret_cast<const ElfW(Verdef)*>(at + definition->vd_next);
  }
  return "";
}

bool matches(const Tables& t, std::size_t index, const char* name, const char* version) noexcept {
  const ElfW(Sym)& symbol = t.symbols[index];
  if (symbol.st_shndx == SHN_UNDEF || symbol.st_value == 0) return false;
  if (!text::equal(t.strings + symbol.st_name, name)) return false;
  if (t.versions == nullptr) return true;
  constexpr unsigned hidden = 0x8000;
  const unsigned v = t.versions[index];
  if (version == nullptr) return (v & hidden) == 0;
  return text::equal(version_name(t, v & ~hidden), version);
}

std::size_t find_symbol(const Tables& t, const char* name, const char* version) noexcept {
  if (t.strings == nullptr || t.symbols == nullptr) return 0;
  if (t.gnu_hash != nullptr) {
    std::uint32_t hash = 5381;
    for (const char* c = name; *c != 0; ++c) hash = hash * 33 + static_cast<unsigned char>(*c);
    const std::uint32_t buckets = t.gnu_hash[0], first = t.gnu_hash[1], bloom = t.gnu_hash[2];
    const std::uint32_t* bucket = t.gnu_hash + 4 + bloom * (sizeof(ElfW(Addr)) / 4);
    const std::uint32_t* chain = bucket + buckets;
    if (buckets == 0) return 0;
    std::uint32_t index = bucket[hash % buckets];
    if (index < first) return 0;
    for (;; ++index) {
      const std::uint32_t h = chain[index - first];
      if ((h | 1) == (hash | 1) && matches(t, index, name, version)) return index;
      if (h & 1) return 0;
    }
  }
  if (t.sysv_hash != nullptr)
    for (std::uint32_t index = 1; index < t.sysv_hash[1]; ++index)
      if (matches(t, index, name, version)) return index;
  return 0;
}

const char* soname_in(const Module& module) noexcept {
  const Tables t = tables_of(module);
  return t.soname == 0 || t.strings == nullptr ? "" : t.strings + t.soname;
}

struct Search {
  const char* soname;
  std::uintptr_t address = 0;
  Module found;
};

Module module_from(const dl_phdr_info& info) noexcept {
  Module module;
  for (int i = 0; i < info.dlpi_phnum; ++i)
    if (info.dlpi_phdr[i].p_type == PT_DYNAMIC)
      module.dynamic = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
  module.base = info.dlpi_addr;
  module.path = info.dlpi_name;
  return module;
}

bool is_vdso(const dl_phdr_info& info) noexcept {
  return info.dlpi_name != nullptr && text::begins_with(info.dlpi_name, "linux-vdso");
}

int visit(dl_phdr_info* info, std::size_t, void* data) noexcept {
  Search& search = *static_cast<Search*>(data);
  if (is_vdso(*info)) return 0;
  if (search.address != 0) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const ElfW(Phdr)& p = info->dlpi_phdr[i];
      const std::uintptr_t start = info->dlpi_addr + p.p_vaddr;
      if (p.p_type == PT_LOAD && search.address - start < p.p_memsz) {
        search.found = module_from(*info);
        return 1;
      }
    }
    return 0;
  }
  const Module module = module_from(*info);
  if (!module || !text::equal(soname_in(module), search.soname)) return 0;
  search.found = module;
  return 1;
}

void* symbol(const Module& module, const char* name, const char* version) noexcept {
  if (!module) return nullptr;
  const Tables t = tables_of(module);
  const std::size_t index = find_symbol(t, name, version);
  if (index == 0 || t.symbols == nullptr) return nullptr;
  void* at = reinterpret_cast<void*>(module.base + t.symbols[index].st_value);
  if (ELF64_ST_TYPE(t.symbols[index].st_info) == STT_GNU_IFUNC) return reinterpret_cast<void* (*)()>(at)();
  return at;
}

struct NextSearch {
  std::uintptr_t self;
  const char* name;
  bool passed = false;
  void* found = nullptr;
};

int visit_next(dl_phdr_info* info, std::size_t, void* data) noexcept {
  NextSearch& search = *static_cast<NextSearch*>(data);
  if (is_vdso(*info)) return 0;
  if (search.passed) {
    search.found = symbol(module_from(*info), search.name, nullptr);
    return search.found != nullptr;
  }
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& p = info->dlpi_phdr[i];
    if (p.p_type == PT_LOAD && search.self - (info->dlpi_addr + p.p_vaddr) < p.p_memsz) search.passed = true;
  }
  return 0;
}

}  // namespace

void* symbol_after(const void* self, const char* name) noexcept {
  NextSearch search{reinterpret_cast<std::uintptr_t>(self), name};
  dl_iterate_phdr(visit_next, &search);
  return search.found;
}

Module find_module(const char* soname) noexcept {
  Search search{soname, 0, {}};
  dl_iterate_phdr(visit, &search);
  return search.found;
}

Module module_of(const void* address) noexcept {
  Search search{"", reinterpret_cast<std::uintptr_t>(address), {}};
  dl_iterate_phdr(visit, &search);
  return search.found;
}

Module find_module_early(const char* soname) noexcept {
  for (const link_map* map = &_r_debug == nullptr ? nullptr : _r_debug.r_map; map != nullptr; map = map->l_next) {
    const Module module{map->l_addr, map->l_ld, map->l_name};
    const bool vdso = map->l_name != nullptr && text::begins_with(map->l_name, "linux-vdso");
    if (module && !vdso && text::equal(soname_in(module), soname)) return module;
  }
  return {};
}

std::string_view soname_of(const Module& module) noexcept {
  const char* soname = soname_in(module);
  return {soname, text::length(soname)};
}

bool needs(const Module& module, const char* soname) noexcept {
  const Tables t = tables_of(module);
  if (t.strings == nullptr) return false;
  for (const ElfW(Dyn)* d = module.dynamic; d->d_tag != DT_NULL; ++d)
    if (d->d_tag == DT_NEEDED && text::equal(soname, t.strings + d->d_un.d_val)) return true;
  return false;
}

void* symbol_of(const Module& module, const char* name) noexcept { return symbol(module, name, nullptr); }

void* versioned_symbol_of(const Module& module, const char* name, const char* version) noexcept {
  return symbol(module, name, version);
}

}  // namespace vramtrack::hooks
