// The one parser of options (contract/option_parse.hpp).
#include <catch2/catch.hpp>

#include "contract/option_parse.hpp"

using vramtrack::option::parse_flag;
using vramtrack::option::parse_size;

TEST_CASE("a size is read with its unit and its decimals") {
  const auto [text, expected] = GENERATE(table<const char*, std::uint64_t>({
      {"0", 0},
      {"1048576", 1048576},
      {"1.5MiB", 1572864},
      {"1mb", 1000000},
      {"1MB", 1000000},
      {"1m", 1048576},
      {"1 kib", 1024},
      {" 0.1GiB ", 107374182},
      {".5k", 512},
      {"7b", 7},
      {"1.999999999999999999999999999999999999k", 2047},
      {"1TiB", 1ull << 40},
      {"1000000000000000000", 1000000000000000000},
  }));
  CAPTURE(text);
  std::uint64_t bytes = 0;
  CHECK(parse_size(text, bytes));
  CHECK(bytes == expected);
}

TEST_CASE("what is no size is refused, and leaves the value as it was") {
  const char* text =
      GENERATE("", " ", "MiB", ".", ".k", "-1", "+1", "1.2.3", "1 0", "1kibb", "1ki", "1bb", "nan", "inf", "0x10",
               "1e3", "2.5e", "1000000000000000001", "1000000TiB", "99999999999999999999999999", "1,5k");
  CAPTURE(text);
  std::uint64_t bytes = 42;
  CHECK_FALSE(parse_size(text, bytes));
  CHECK(bytes == 42);
}

TEST_CASE("a flag is off when it is empty or 0") {
  CHECK_FALSE(parse_flag(""));
  CHECK_FALSE(parse_flag("0"));
  CHECK(parse_flag("1"));
  CHECK(parse_flag("no"));
}
