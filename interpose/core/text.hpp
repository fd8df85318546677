// Zero-terminated text without the C library: code that may run before anything is initialised calls no function that
// somebody else may own. The sanitizers' runtimes own strcmp and the like, and their start calls our dlsym while their
// own versions cannot run yet. Files that rely on this are compiled so that no loop becomes such a call
// (CMakeLists.txt).
#pragma once

#include <cstddef>

namespace vramtrack::text {

inline std::size_t length(const char* text) noexcept {
  std::size_t n = 0;
  while (text[n] != 0) ++n;
  return n;
}

inline bool equal(const char* a, const char* b) noexcept {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

inline bool begins_with(const char* text, const char* prefix) noexcept {
  while (*prefix != 0 && *text == *prefix) ++text, ++prefix;
  return *prefix == 0;
}

}  // namespace vramtrack::text
