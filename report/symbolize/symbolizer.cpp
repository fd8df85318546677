#include "report/symbolize/symbolizer.hpp"

#include <elfutils/libdwfl.h>
#include <gelf.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "report/model/sites.hpp"
#include "report/support/files.hpp"
#include "report/support/log.hpp"
#include "report/symbolize/debug_files.hpp"
#include "report/symbolize/debug_lines.hpp"
#include "report/symbolize/demangle.hpp"
#include "report/symbolize/elf_symbols.hpp"

namespace vramtrack {
namespace {

char* g_debug_path = nullptr;  // libdwfl's default: beside the file, .debug/, /usr/lib/debug, by build-id

constexpr Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = find_debug_file,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = &g_debug_path,
};

Elf_Scn* section_of_type(Elf* elf, std::uint32_t type) {
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) != nullptr && header.sh_type == type) return section;
  }
  return nullptr;
}

/// What a module names for its debug information, where libdw would wait for a pipe's other end or read a device. ""
/// when there is nothing of that kind.
std::string irregular_debug_file(Elf* elf, const std::string& path) {
  std::size_t names = 0;
  if (elf_getshdrstrndx(elf, &names) != 0) return "";
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::vector<std::filesystem::path> places{
      path + ".debug", folder / ".debug" / (std::filesystem::path(path).filename().string() + ".debug")};
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    const char* const name = elf_strptr(elf, names, header.sh_name);
    if (name == nullptr || (std::strcmp(name, ".gnu_debuglink") != 0 && std::strcmp(name, ".gnu_debugaltlink") != 0))
      continue;
    const Elf_Data* const data = elf_rawdata(section, nullptr);
    if (data == nullptr || data->d_buf == nullptr) continue;
    const auto* const text = static_cast<const char*>(data->d_buf);
    const std::filesystem::path other(std::string(text, strnlen(text, data->d_size)));
    for (const std::filesystem::path& place : {folder / other, folder / ".debug" / other}) places.push_back(place);
  }
  std::error_code error;
  for (const std::filesystem::path& place : places)
    if (std::filesystem::is_other(place, error) || std::filesystem::is_fifo(place, error)) return place.string();
  return "";
}

std::string irregular_note(const std::string& path, const std::string& other, const std::string& consequence) {
  return path + " names " + other + " for its debug information, which is not a regular file: " + consequence;
}

/// libdw of Debian 12 cannot read them; without a word it would look as if there were no debug information.
bool has_zstd_debug_sections(Elf* elf) {
  constexpr std::uint32_t zstd = 2;  // ELFCOMPRESS_ZSTD; not in older elf.h
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    GElf_Chdr compression;
    if (gelf_getshdr(section, &header) != nullptr && (header.sh_flags & SHF_COMPRESSED) != 0 &&
        gelf_getchdr(section, &compression) != nullptr && compression.ch_type == zstd) {
      return true;
    }
  }
  return false;
}

}  // namespace

struct Symbolizer::Module {
  Module() = default;
  ~Module() {
    lines.reset();
    if (dwfl != nullptr) dwfl_end(dwfl);
  }
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  void read_symbols(Elf* elf);
  void read_lines(const std::string& path);

  Dwfl* dwfl = nullptr;
  Dwfl_Module* module = nullptr;
  bool usable = false;
  std::string note;  // what a reader should know, or ""
  GElf_Addr elf_bias = 0, dwarf_bias = 0;
  ElfSymbols symbols;
  std::unique_ptr<DebugLines> lines;
  std::unordered_map<std::string_view, std::string> names;  // mangled -> shown
};

void Symbolizer::Module::read_symbols(Elf* elf) {
  if (Elf_Scn* section = section_of_type(elf, SHT_SYMTAB)) {
    symbols.add_section(elf, section);
  } else {
    // libdwfl knows where else to look: a separate debug file, .gnu_debugdata, .dynsym. One copy of its table, since
    // its own search is a scan.
    const int count = dwfl_module_getsymtab(module);
    for (int i = 1; i < count; ++i) {
      GElf_Sym symbol;
      GElf_Addr address = 0;
      GElf_Word section_index = 0;
      const char* name = dwfl_module_getsym_info(module, i, &symbol, &address, &section_index, nullptr, nullptr);
      const auto type = GELF_ST_TYPE(symbol.st_info);
      if (name == nullptr || section_index == SHN_UNDEF || (type != STT_FUNC && type != STT_GNU_IFUNC)) continue;
      symbols.add(address - elf_bias, symbol.st_size, name, GELF_ST_BIND(symbol.st_info) == STB_GLOBAL);
    }
  }
  symbols.sort();
}

void Symbolizer::Module::read_lines(const std::string& path) {
  Dwarf* const dwarf = dwfl_module_getdwarf(module, &dwarf_bias);
  if (dwarf == nullptr) return;
  lines = std::make_unique<DebugLines>(dwarf, std::filesystem::path(path).parent_path().string());
  if (!lines->irregular().empty()) note = irregular_note(path, lines->irregular(), "no inlined functions from it");
}

Symbolizer::Symbolizer(std::string cache_folder, uid_t reader) : cache_(std::move(cache_folder)), reader_(reader) {
  // elfutils would ask the servers of DEBUGINFOD_URLS for every library, gigabytes for PyTorch's: only if wanted.
  if (std::getenv("VRAMTRACK_DEBUGINFOD") == nullptr) unsetenv("DEBUGINFOD_URLS");
}

Symbolizer::~Symbolizer() = default;

void Symbolizer::log_module(const std::string& path, const Module& module) {
  if (module.usable)
    log::debug("library: ", path, ": ", module.symbols.size(), " symbols, ",
               module.lines != nullptr ? "lines of " + std::to_string(module.lines->unit_count()) + " units"
                                       : "no line information");
  if (!module.note.empty())
    log::debug("skipped: ", module.note);
  else if (!module.usable)
    log::debug("skipped: ", path.empty() ? "code without a file" : path, ": no file to read names from");
}

std::shared_ptr<Symbolizer::Module> Symbolizer::load(const std::string& path, const std::string& build_id) const {
  auto loaded = std::make_shared<Module>();
  Module& module = *loaded;
  if (path.empty() || path.front() != '/') return loaded;  // [vdso], anonymous code
  files::Descriptor file = files::open_regular_for(path, reader_);
  if (!file) {
    const int error = errno;
    module.note = path +
                  (error == ENODEV   ? " is not a regular file"
                   : error == EACCES ? " may not be read by the owner of the trace"
                                     : " is not there any more") +
                  ": its functions have no names";
    return loaded;
  }
  module.dwfl = dwfl_begin(&callbacks);
  if (module.dwfl == nullptr) return loaded;
  module.module = dwfl_report_offline(module.dwfl, path.c_str(), path.c_str(), file.number());
  if (module.module != nullptr) file.release();  // it is libdwfl's now
  dwfl_report_end(module.dwfl, nullptr, nullptr);
  Elf* const elf = module.module == nullptr ? nullptr : dwfl_module_getelf(module.module, &module.elf_bias);
  if (elf == nullptr) {
    module.note = path + " cannot be read as an ELF file: its functions have no names";
    return loaded;
  }
  const std::string on_disk = build_id_of(module.module);
  if (!build_id.empty() && on_disk != build_id) {
    module.note = path + " has changed since the run (build-id " + (on_disk.empty() ? "none" : on_disk) + ", was " +
                  build_id + "): its functions have no names";
    return loaded;
  }
  module.usable = true;
  if (const std::string name = irregular_debug_file(elf, path); !name.empty()) {
    module.note = irregular_note(path, name, "no names from it");
    module.symbols.add_section(elf, section_of_type(elf, SHT_DYNSYM));
    module.symbols.sort();
    return loaded;
  }
  module.read_symbols(elf);
  module.read_lines(path);
  if (module.lines == nullptr && has_zstd_debug_sections(elf)) {
    module.note = path +
                  " has debug information compressed with zstd, which this build of elfutils cannot read: "
                  "function names only";
  }
  return loaded;
}

Symbolizer::Module& Symbolizer::open(const std::string& path, const std::string& build_id) {
  const std::string key = path + '\n' + build_id + '\n' + std::to_string(reader_);
  std::shared_ptr<Module>& slot = modules_[key];
  if (slot != nullptr) return *slot;
  // Never destroyed: giving back what a large library's tables take would only delay the end of the process.
  static auto& all = *new std::unordered_map<std::string, std::shared_ptr<Module>>;
  constexpr std::size_t most = 512;  // a fleet of many different builds: those in use are kept by their users
  if (all.size() >= most) all.clear();
  std::shared_ptr<Module>& known = all[key];
  if (known == nullptr) {
    known = load(path, build_id);
    log_module(path, *known);
  }
  slot = known;
  if (!slot->note.empty()) notes_.push_back(slot->note);
  return *slot;
}

std::vector<NativeFrame> Symbolizer::resolve(const std::string& path, const std::string& build_id,
                                             std::uint64_t address) {
  if (const std::vector<NativeFrame>* const known = cache_.find(path, build_id, address)) return *known;
  Module& module = open(path, build_id);
  if (!module.usable) return {};
  std::vector<NativeFrame> frames = look_up(module, address);
  if (module.note.empty()) cache_.add(path, build_id, address, frames);
  return frames;
}

std::vector<NativeFrame> Symbolizer::look_up(Module& module, std::uint64_t address) {
  std::vector<NativeFrame> frames;
  if (module.lines != nullptr) frames = module.lines->find(address + module.elf_bias - module.dwarf_bias);
  const std::string_view mangled = module.symbols.find(address);
  if (mangled.empty()) return frames;
  const auto [name, added] = module.names.try_emplace(mangled);
  if (added) name->second = function_name(mangled);
  // The symbol table knows the outermost function best (DWARF has no scope for parts that were moved away).
  if (frames.empty()) frames.emplace_back();
  frames.back().function = name->second;
  return frames;
}

}  // namespace vramtrack
