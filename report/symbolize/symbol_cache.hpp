// Names and lines that were looked up before, kept on disk by build-id: reading the symbol tables of PyTorch's
// libraries takes half a second each time, and between runs they do not change. One small file for each module. A file
// that cannot be read, or was made from other debug files or by another version, is as good as none: it is made anew.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "report/symbolize/native_frame.hpp"

namespace vramtrack {

class SymbolCache {
 public:
  /// `folder`: made when there is something to write. "": nothing is kept.
  explicit SymbolCache(std::string folder);

  /// Where the user's cache is: $VRAMTRACK_CACHE (a folder, or "off"), else vramtrack/ in $XDG_CACHE_HOME or ~/.cache.
  /// "" when it is off, or there is no such place.
  static std::string default_folder();

  /// What is known of an address of the module (no frames: it is known to have none); nullptr when nothing is. Valid
  /// until the next call of add().
  const std::vector<NativeFrame>* find(const std::string& path, const std::string& build_id, std::uint64_t address);

  void add(const std::string& path, const std::string& build_id, std::uint64_t address,
           const std::vector<NativeFrame>& frames);

  /// Writes what was added. Failures (a read-only home, a full disk) are silent: the next run looks names up again.
  void save();

 private:
  struct Entry {
    std::vector<NativeFrame> frames;
    bool used = false;  // in this run
  };
  struct Module {
    bool usable = false;      // it has a build-id, and its file is there
    std::uint64_t stamp = 0;  // of everything besides the build-id that its names depend on
    bool changed = false;
    std::map<std::uint64_t, Entry> entries;
  };

  Module& open(const std::string& path, const std::string& build_id);
  std::string file_of(const std::string& build_id) const;
  void save_module(const std::string& file, Module& module);
  void limit_folder() const;

  const std::string folder_;  // with the format's version
  std::unordered_map<std::string, Module> modules_;
};

}  // namespace vramtrack
