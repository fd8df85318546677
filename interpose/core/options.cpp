#include "interpose/core/options.hpp"

#include <cstdlib>
#include <cstring>

#include "interpose/core/memory.hpp"
#include "interpose/core/say.hpp"

namespace vramtrack {

Options g_host_options;

namespace {

Arena g_arena;

void read(bool& option, const char*, const char* text) noexcept { option = *text != 0 && std::strcmp(text, "0") != 0; }

void read(const char*& option, const char*, const char* text) noexcept {
  const std::size_t bytes = std::strlen(text) + 1;
  if (bytes == 1) return;
  if (void* copy = g_arena.allocate(bytes, 1)) option = static_cast<const char*>(std::memcpy(copy, text, bytes));
}

// "512", "24GiB", "1 MB": units of 1024 with an i, of 1000 without; a lone letter is of 1024.
void read(std::uint64_t& option, const char* variable, const char* text) noexcept {
  char* end = nullptr;
  const unsigned long long number = std::strtoull(text, &end, 10);
  while (*end == ' ') ++end;
  std::uint64_t scale = 1;
  if (*end != 0 && *end != 'B') {
    const char* letter = std::strchr("KMGT", *end & ~0x20);
    if (letter == nullptr || end == text) {
      say(variable, "=", text, " is not a size (example: 64KiB); ignored");
      return;
    }
    const std::uint64_t base = end[1] == 'B' ? 1000 : 1024;
    for (long power = letter - "KMGT"; power >= 0; --power) scale *= base;
  }
  option = number * scale;
}

}  // namespace

void read_options() noexcept {
#define OPTION(type, member, variable, fallback, what) \
  if (const char* text = std::getenv(variable)) read(g_host_options.member, variable, text);
#include "contract/options.def"
#undef OPTION
}

}  // namespace vramtrack
