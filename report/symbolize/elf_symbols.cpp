#include "report/symbolize/elf_symbols.hpp"

#include <gelf.h>

#include <algorithm>
#include <cstring>

namespace vramtrack {

void ElfSymbols::add(std::uint64_t address, std::uint64_t size, const char* name, bool global) {
  if (address == 0 || name == nullptr || *name == '\0') return;
  symbols_.push_back({address, size, name, global});
}

void ElfSymbols::add_section(Elf* elf, Elf_Scn* section) {
  GElf_Shdr header;
  if (gelf_getshdr(section, &header) == nullptr || header.sh_entsize == 0) return;
  Elf_Data* data = elf_getdata(section, nullptr);
  if (data == nullptr) return;
  const auto count = static_cast<int>(header.sh_size / header.sh_entsize);
  symbols_.reserve(symbols_.size() + static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(data, i, &symbol) == nullptr) break;
    const auto type = GELF_ST_TYPE(symbol.st_info);
    // Assembly may have no type; its symbols count if they have a size.
    const bool function = type == STT_FUNC || type == STT_GNU_IFUNC || (type == STT_NOTYPE && symbol.st_size > 0);
    if (!function || symbol.st_shndx == SHN_UNDEF) continue;
    add(symbol.st_value, symbol.st_size, elf_strptr(elf, header.sh_link, symbol.st_name),
        GELF_ST_BIND(symbol.st_info) == STB_GLOBAL);
  }
}

void ElfSymbols::sort() {
  // Of several names for one address the last in this order is found first: a global one, then the shortest, so that
  // the choice does not depend on the order in the file.
  std::sort(symbols_.begin(), symbols_.end(), [](const Symbol& a, const Symbol& b) {
    if (a.address != b.address) return a.address < b.address;
    if (a.size != b.size) return a.size < b.size;
    if (a.global != b.global) return b.global;
    const std::size_t a_length = std::strlen(a.name), b_length = std::strlen(b.name);
    return a_length != b_length ? a_length > b_length : std::strcmp(a.name, b.name) > 0;
  });
}

std::string_view ElfSymbols::find(std::uint64_t address) const noexcept {
  auto at = std::upper_bound(symbols_.begin(), symbols_.end(), address,
                             [](std::uint64_t wanted, const Symbol& symbol) { return wanted < symbol.address; });
  // A small symbol may lie inside a larger one (labels in assembly): look back a little for one that covers.
  constexpr int look_back = 16;
  for (int i = 0; i < look_back && at != symbols_.begin(); ++i) {
    --at;
    if (address < at->address + at->size) return at->name;
    if (at->size == 0 && i == 0) return at->name;
  }
  return {};
}

}  // namespace vramtrack
