#include <catch2/catch.hpp>
#include <stdexcept>

#include "contract/sim_settings.hpp"
#include "tools/run/simulated.hpp"

using namespace vramtrack::sim;

TEST_CASE("sizes of the simulated GPU are read as people write them") {
  const auto [text, devices, bytes] = GENERATE(table<const char*, int, std::uint64_t>({
      {"80GiB", 1, 80ull << 30},
      {"24 GiB", 1, 24ull << 30},
      {"2x24GiB", 2, 24ull << 30},
      {"8X1g", 8, 1ull << 30},
      {"512MiB", 1, 512ull << 20},
      {"64mb", 1, 60ull << 20},  // 64,000,000 bytes in whole 2 MiB pages
      {"1.5GiB", 1, 1536ull << 20},
      {"1073741824", 1, 1ull << 30},
  }));
  Settings settings;
  std::string why;
  CAPTURE(text, why);
  REQUIRE(parse_settings(text, settings, why));
  CHECK(settings.devices == devices);
  CHECK(settings.device_bytes == bytes);
  CHECK(settings.context_bytes % (2 << 20) == 0);
  CHECK(settings.context_bytes <= settings.device_bytes / 64);
}

TEST_CASE("sizes that make no sense are refused with a reason") {
  const char* text = GENERATE("", "x", "GiB", "80GiBs", "-1GiB", "0x80GiB", "17x1GiB", "2x", "x24GiB", "1KiB", "5TiB",
                              "nan", "1e30GiB", "2x24GiB,1GiB");
  Settings settings;
  std::string why;
  CAPTURE(text);
  CHECK_FALSE(parse_settings(text, settings, why));
  CHECK_FALSE(why.empty());
  if (*text != '\0') CHECK_THROWS_AS(sim_environment(text), std::invalid_argument);
}
