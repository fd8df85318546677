#include "interpose/core/options.hpp"

#include <cstdlib>
#include <cstring>

#include "contract/option_parse.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/say.hpp"

namespace vramtrack {

Options g_host_options;

namespace {

// One function for each type of options.def, named after it.

Arena g_arena;

void read_Flag(bool& option, const char*, const char* text) noexcept { option = option::parse_flag(text); }

void read_Count(unsigned& option, const char*, const char* text) noexcept { option = option::parse_count(text); }

void read_Text(const char*& option, const char*, const char* text) noexcept {
  const std::size_t bytes = std::strlen(text) + 1;
  if (bytes == 1) return;
  if (void* copy = g_arena.allocate(bytes, 1)) option = static_cast<const char*>(std::memcpy(copy, text, bytes));
}

bool read_Size(std::uint64_t& option, const char* variable, const char* text) noexcept {
  if (option::parse_size(text, option)) return true;
  if (*text != 0) say(variable, "=", text, " is not a size (example: 64KiB); ignored");
  return false;
}

void read_SizeOrNone(const char*& option, const char* variable, const char* text) noexcept {
  std::uint64_t bytes = 0;
  if (read_Size(bytes, variable, text)) read_Text(option, variable, text);
}

}  // namespace

void read_options() noexcept {
#define OPTION(type, member, names, bare, variable, fallback, reader, help) \
  if (const char* text = std::getenv(variable)) read_##type(g_host_options.member, variable, text);
#include "contract/options.def"
#undef OPTION
}

}  // namespace vramtrack
