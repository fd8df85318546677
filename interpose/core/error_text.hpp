// What an error number means, in the words of strerror(), which may ask the locale and the heap.
#pragma once

#include "interpose/core/say.hpp"

namespace vramtrack {

struct ErrorText {
  int number;
};

Line& operator<<(Line& line, ErrorText error) noexcept;

}  // namespace vramtrack
