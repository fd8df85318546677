// The text of source lines, read from the files that the traced program used, as long as they are still there.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace vramtrack {

class SourceLines {
 public:
  /// With `enabled` false, never reads a file; else only what `reader` may read. That is the owner of the trace: it is
  /// the trace that says which files are looked at.
  SourceLines(bool enabled, uid_t reader) : enabled_(enabled), reader_(reader) {}

  /// Line `line` (from 1) of `file`, valid UTF-8, at most 200 bytes. Nothing when the file is not a readable regular
  /// file, is too large, or has no such line.
  std::optional<std::string> line(const std::string& file, int line);

  /// The whole of a file, under the same conditions; else "". Valid until this is destroyed.
  const std::string& text(const std::string& file);

 private:
  struct Text {
    std::string content;
    std::vector<std::uint32_t> starts;  // of each line
  };
  const Text& open(const std::string& file);

  bool enabled_;
  uid_t reader_;
  std::size_t bytes_ = 0;
  std::unordered_map<std::string, Text> files_;
};

}  // namespace vramtrack
