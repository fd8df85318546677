// The one exception of the offline tools for an input that cannot be used: main() catches it once and prints what().
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace vramtrack {

struct InputError : std::runtime_error {
  InputError(const std::string& input_path, std::optional<std::uint64_t> at, const std::string& why,
             const std::string& how)
      : std::runtime_error(one_line(input_path, at, why, how)), path(input_path), offset(at), fix(how) {}

  std::string path;
  std::optional<std::uint64_t> offset;  // in bytes, where there is one
  std::string fix;                      // what the user can do

 private:
  /// "PATH: WHAT at byte OFFSET; FIX"
  static std::string one_line(const std::string& path, std::optional<std::uint64_t> offset, const std::string& what,
                              const std::string& fix) {
    std::string text = path.empty() ? what : path + ": " + what;
    if (offset) text += " at byte " + std::to_string(*offset);
    if (!fix.empty()) text += "; " + fix;
    return text;
  }
};

}  // namespace vramtrack
