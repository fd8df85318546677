// Names and lines of native addresses, from the files on disk, or from what was read of them in earlier runs. Loads a
// module when first asked about something new of it, once a process: the reports of many processes of one run share
// what was read. One thread.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "report/symbolize/native_frame.hpp"
#include "report/symbolize/symbol_cache.hpp"

namespace vramtrack {

class Symbolizer {
 public:
  /// `cache_folder`: where names are kept between runs; "" for nowhere (see SymbolCache). `reader`: whose permissions
  /// decide which modules are read, the owner of the trace.
  explicit Symbolizer(std::string cache_folder = {}, uid_t reader = ::geteuid());
  ~Symbolizer();
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  /// The frames at `address` (as linked: run-time address - load bias), innermost first. Empty when nothing is known.
  /// `build_id`: hex, of the module when it ran; a file with another one is not asked.
  std::vector<NativeFrame> resolve(const std::string& path, const std::string& build_id, std::uint64_t address);

  /// Keeps what was looked up for later runs.
  void save() { cache_.save(); }

  /// What a reader should know: modules that changed or are gone. One sentence each.
  const std::vector<std::string>& notes() const noexcept { return notes_; }

 private:
  struct Module;
  Module& open(const std::string& path, const std::string& build_id);
  std::vector<NativeFrame> look_up(Module& module, std::uint64_t address);

  static void log_module(const std::string& path, const Module& module);
  std::shared_ptr<Module> load(const std::string& path, const std::string& build_id) const;

  std::unordered_map<std::string, std::shared_ptr<Module>> modules_;
  std::vector<std::string> notes_;
  SymbolCache cache_;
  uid_t reader_;
};

}  // namespace vramtrack
