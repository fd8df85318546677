// The page's compact JSON: every form of a column means the same numbers, and nothing can leave a <script> element.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "report/render/column_json.hpp"

using namespace vramtrack::render;
using nlohmann::json;

namespace {

std::string written(const std::vector<double>& values) {
  std::string out;
  write_column(out, values);
  return out;
}

/// What data.js does, in C++.
std::vector<double> read_back(const std::string& text, std::size_t rows) {
  const json value = json::parse(text);
  if (value.is_number()) return std::vector<double>(rows, value.get<double>());
  if (value.is_array()) return value.get<std::vector<double>>();
  std::vector<double> out;
  if (value.contains("runs")) {
    const json& runs = value["runs"];
    for (std::size_t i = 0; i < runs.size(); i += 2) out.insert(out.end(), runs[i + 1].get<std::size_t>(), runs[i]);
    return out;
  }
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (value.contains("base64")) {
    std::vector<std::uint8_t> bytes;
    std::uint32_t bits = 0;
    int held = 0;
    for (const char c : value["base64"].get<std::string>()) {
      if (c == '=') break;
      bits = bits << 6 | static_cast<std::uint32_t>(letters.find(c));
      if ((held += 6) < 8) continue;
      held -= 8;
      bytes.push_back(static_cast<std::uint8_t>(bits >> held));
    }
    const std::size_t wide = value["bits"].get<std::size_t>() / 8;
    CHECK(bytes.size() == wide * rows);
    for (std::size_t at = 0; at + wide <= bytes.size(); at += wide) {
      double number = 0;
      for (std::size_t i = wide; i-- > 0;) number = number * 256 + bytes[at + i];
      out.push_back((value["low"].get<double>() + value["unit"].get<double>() * number) / value["per"].get<double>());
    }
    return out;
  }
  for (const char c : value["codes"].get<std::string>()) out.push_back(value["of"].at(letters.find(c)));
  return out;
}

}  // namespace

TEST_CASE("each form of a column gives the numbers back") {
  std::vector<double> equal(500, 7), runs(500, 1), few(500), many(500);
  for (std::size_t i = 0; i < 500; ++i) {
    if (i >= 200) runs[i] = -3;
    few[i] = static_cast<double>(i * i % 64);
    many[i] = static_cast<double>(i * 7919 % 500) + 1.0 / 3;
  }
  for (const auto& values : {equal, runs, few, many, std::vector<double>{}, std::vector<double>{4, 5}}) {
    CHECK(read_back(written(values), values.size()) == values);
  }
  CHECK(written(equal) == "7");
  CHECK(json::parse(written(runs)).contains("runs"));
  CHECK(json::parse(written(few)).contains("codes"));
  CHECK(json::parse(written(many)).is_array());
}

TEST_CASE("a column of 64 values uses letters, one of 65 does not") {
  std::vector<double> values(1000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 64);
  CHECK(json::parse(written(values)).contains("codes"));
  CHECK(read_back(written(values), values.size()) == values);
  values[77] = 64;
  CHECK(json::parse(written(values)).contains("base64"));
}

TEST_CASE("words give whole numbers and four decimals back exactly") {
  for (const std::size_t rows : {300, 301, 302}) {  // each length of the padding
    std::vector<double> small(rows), sizes(rows), seconds(rows), signs(rows), mixed(rows);
    for (std::size_t i = 0; i < rows; ++i) {
      small[i] = static_cast<double>(i % 200);
      sizes[i] = static_cast<double>(i * i * 512 + 4'000'000'000'000);
      seconds[i] = page_seconds(static_cast<double>(i * i) * 0.00137);
      signs[i] = (i % 2 == 0 ? 1.0 : -1.0) * static_cast<double>(i * 7'000'007);
      mixed[i] = sizes[i];
    }
    for (const auto& values : {small, sizes, seconds, signs}) {
      CHECK(json::parse(written(values)).contains("base64"));
      CHECK(read_back(written(values), rows) == values);
    }
    CHECK(json::parse(written(small))["bits"] == 8);
    CHECK(json::parse(written(small))["unit"] == 1);
    CHECK(json::parse(written(sizes))["unit"] == 512);
    for (const double odd : {0.00001, 9007199254740992.0, 1e300}) {  // more decimals, or not exact: as they are
      mixed[7] = odd;
      CHECK(json::parse(written(mixed)).is_array());
      CHECK(read_back(written(mixed), rows) == mixed);
    }
  }
}

TEST_CASE("numbers that JSON does not have become zero") { CHECK(written({0.0 / 1.0, 1.0 / 0.0, 2}) == "[0,0,2]"); }

TEST_CASE("nothing can end or confuse a script element") {
  const json value = {"</script><!--", "a\u2028b\u2029c", "\xE2\x80\xA6", "plain"};
  const std::string text = safe_for_script(value.dump());
  CHECK(text.find('<') == std::string::npos);
  CHECK(text.find("\xE2\x80\xA8") == std::string::npos);
  CHECK(text.find("\xE2\x80\xA9") == std::string::npos);
  CHECK(json::parse(text) == value);
}

TEST_CASE("a string has one number") {
  StringTable table;
  CHECK(table("a") == 0);
  CHECK(table("b") == 1);
  CHECK(table("a") == 0);
  CHECK(table.strings() == std::vector<std::string>{"a", "b"});
}
