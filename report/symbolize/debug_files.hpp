// Where the debug information of a stripped module may lie.
#pragma once

#include <elfutils/libdwfl.h>

#include <filesystem>
#include <string>
#include <vector>

namespace vramtrack {

/// Hex, or "" when the module has none.
std::string build_id_of(Dwfl_Module* module);

/// The files that libdwfl looks for by itself, in no particular order. `build_id`: hex, or "". `link`: the name that
/// the module gives for its debug file (.gnu_debuglink), or "" for the usual one.
std::vector<std::filesystem::path> debug_file_places(const std::filesystem::path& module, const std::string& build_id,
                                                     const std::string& link);

/// dwfl_standard_find_debuginfo(), which says in the diagnostic log what it found, and where it looked in vain.
int find_debug_file(Dwfl_Module* module, void** user, const char* name, Dwarf_Addr base, const char* file,
                    const char* link, GElf_Word checksum, char** found);

}  // namespace vramtrack
