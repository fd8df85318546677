// Names and lines of native addresses, from the files on disk. Loads a module when first asked about it, once a
// process: the reports of many processes of one run share what was read. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace vramtrack {

struct NativeFrame {
  std::string function;  // demangled, without its parameters; "" when unknown
  std::string file;      // "" when there is no debug information
  int line = 0;
  bool inlined = false;  // into the frame that follows
};

class Symbolizer {
 public:
  Symbolizer();
  ~Symbolizer();
  Symbolizer(const Symbolizer&) = delete;
  Symbolizer& operator=(const Symbolizer&) = delete;

  /// The frames at `address` (as linked: run-time address - load bias), innermost first. Empty when nothing is known.
  /// `build_id`: hex, of the module when it ran; a file with another one is not asked.
  std::vector<NativeFrame> resolve(const std::string& path, const std::string& build_id, std::uint64_t address);

  /// What a reader should know: modules that changed or are gone. One sentence each.
  const std::vector<std::string>& notes() const noexcept { return notes_; }

 private:
  struct Module;
  Module& open(const std::string& path, const std::string& build_id);

  static std::shared_ptr<Module> load(const std::string& path, const std::string& build_id);

  std::unordered_map<std::string, std::shared_ptr<Module>> modules_;
  std::vector<std::string> notes_;
};

}  // namespace vramtrack
