// The options that the traced process was given (contract/options.def). Read once by the library's constructor; plain
// values afterwards.
#pragma once

#include <cstdint>

namespace vramtrack {

struct Options {
  using Flag = bool;
  using Size = std::uint64_t;
  using SizeOrNone = const char*;  // "" or a size as it was written
  using Text = const char*;
  using Count = unsigned;
#define OPTION(type, member, names, bare, variable, fallback, reader, help) type member = fallback;
#include "contract/options.def"
#undef OPTION
};

extern Options g_host_options;

/// Fills them from the environment. The texts are copied (the host may change its environment).
void read_options() noexcept;

}  // namespace vramtrack
