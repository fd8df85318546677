// The one exception of the offline tools for an input that cannot be used. main() catches it once and prints
// "error: PATH: WHAT (at byte OFFSET); FIX".
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace vramtrack {

struct InputError : std::runtime_error {
  InputError(std::string input_path, std::optional<std::uint64_t> at, const std::string& why, std::string how)
      : std::runtime_error(why), path(std::move(input_path)), offset(at), fix(std::move(how)) {}

  /// The line that a user sees, without the leading "error: ".
  std::string message() const {
    std::string text = path.empty() ? std::string(what()) : path + ": " + what();
    if (offset) text += " at byte " + std::to_string(*offset);
    if (!fix.empty()) text += "; " + fix;
    return text;
  }

  std::string path;
  std::optional<std::uint64_t> offset;
  std::string fix;  // what the user can do
};

}  // namespace vramtrack
