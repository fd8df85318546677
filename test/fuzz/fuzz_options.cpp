// Text that users, environments and notes bring: sizes, the simulated GPU's devices, facts, characters.
#include <string>

#include "contract/option_parse.hpp"
#include "contract/sim_settings.hpp"
#include "report/model/read_fact.hpp"
#include "report/support/utf8.hpp"

using namespace vramtrack;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::uint64_t bytes = 0;
  if (option::parse_size(text, bytes) && bytes > option::most_bytes) __builtin_trap();
  option::parse_flag(text);
  sim::Settings settings;
  std::string why;
  if (!sim::parse_settings(text, settings, why) && why.empty()) __builtin_trap();
  read_fact(text);
  const std::string shown = utf8::printable(text);
  if (!utf8::is_valid(shown) || utf8::printable(shown) != shown) __builtin_trap();
  for (std::string_view rest = shown; !rest.empty(); rest.remove_prefix(utf8::plain_length(rest)))
    if (utf8::plain_length(rest) == 0) __builtin_trap();
  for (const std::size_t columns : {0u, 1u, 5u, 80u})
    if (utf8::width(utf8::shorten_middle(text, columns)) > columns) __builtin_trap();
  return 0;
}
