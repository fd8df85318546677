#include "report/symbolize/debug_files.hpp"

#include <cstdlib>

#include "report/support/log.hpp"

namespace vramtrack {
namespace {

namespace fs = std::filesystem;

void log_missing(Dwfl_Module* module, const std::string& file, const char* link) {
  std::string places;
  for (const fs::path& place : debug_file_places(file, build_id_of(module), link == nullptr ? "" : link))
    places += (places.empty() ? "" : ", ") + place.string();
  const bool asked_servers = std::getenv("DEBUGINFOD_URLS") != nullptr;
  log::debug("debug file: none for ", file, ": looked for ", places,
             asked_servers ? ", and asked the servers of DEBUGINFOD_URLS" : "");
}

}  // namespace

std::string build_id_of(Dwfl_Module* module) {
  const unsigned char* bits = nullptr;
  GElf_Addr where = 0;
  const int count = dwfl_module_build_id(module, &bits, &where);
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += "0123456789abcdef"[bits[i] >> 4];
    text += "0123456789abcdef"[bits[i] & 15];
  }
  return text;
}

std::vector<fs::path> debug_file_places(const fs::path& module, const std::string& build_id, const std::string& link) {
  const fs::path folder = module.parent_path();
  const std::string name = link.empty() ? module.filename().string() + ".debug" : link;
  const fs::path debug = "/usr/lib/debug";
  std::vector<fs::path> places;
  if (build_id.size() > 2)
    places.push_back(debug / ".build-id" / build_id.substr(0, 2) / (build_id.substr(2) + ".debug"));
  for (const fs::path& place : {folder / name, folder / ".debug" / name, debug / folder.relative_path() / name})
    places.push_back(place);
  if (link.empty()) places.push_back(debug / module.relative_path());
  return places;
}

int find_debug_file(Dwfl_Module* module, void** user, const char* name, Dwarf_Addr base, const char* file,
                    const char* link, GElf_Word checksum, char** found) {
  const int descriptor = dwfl_standard_find_debuginfo(module, user, name, base, file, link, checksum, found);
  if (!log::is_on(log::Level::debug)) return descriptor;
  const std::string of = file != nullptr ? file : name != nullptr ? name : "";
  if (descriptor < 0)
    log_missing(module, of, link);
  else
    log::debug("debug file: ", found != nullptr && *found != nullptr ? *found : "found", " for ", of);
  return descriptor;
}

}  // namespace vramtrack
