// One frame of native code, as its symbols and debug information tell.
#pragma once

#include <string>

namespace vramtrack {

struct NativeFrame {
  std::string function;  // demangled, without its parameters; "" when unknown
  std::string file;      // "" when there is no debug information
  int line = 0;
  bool inlined = false;  // into the frame that follows

  bool operator==(const NativeFrame&) const = default;
};

}  // namespace vramtrack
