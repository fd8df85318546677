#include <catch2/catch.hpp>
#include <stdexcept>
#include <vector>

#include "contract/sim_settings.hpp"
#include "sim/core/visible_devices.hpp"
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

TEST_CASE("CUDA_VISIBLE_DEVICES is read as CUDA reads it") {
  using Devices = std::vector<int>;
  const std::string second = device_uuid_text(1);
  CHECK(second.size() == 40);
  CHECK(second != device_uuid_text(2));
  CHECK(visible_devices(nullptr, 3) == Devices{0, 1, 2});
  const auto [list, seen] = GENERATE_COPY(table<std::string, Devices>({
      {"", {}},
      {"2", {2}},
      {"2,0", {2, 0}},
      {" 1 , 2 ", {1, 2}},
      {"0,3,1", {0}},  // the first that is not there ends the list
      {"1,-1,2", {1}},
      {"0,,2", {0}},
      {"none", {}},
      {"1,1", {}},  // one twice: no device
      {second, {1}},
      {second + ",0", {1, 0}},
      {"GPU-", {}},  // the beginning of more than one
  }));
  CAPTURE(list);
  CHECK(visible_devices(list.c_str(), 3) == seen);
}
