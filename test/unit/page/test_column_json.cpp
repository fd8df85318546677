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
  for (const char c : value["codes"].get<std::string>()) out.push_back(value["of"].at(letters.find(c)));
  return out;
}

}  // namespace

TEST_CASE("each form of a column gives the numbers back") {
  std::vector<double> equal(500, 7), runs(500, 1), few(500), many(500);
  for (std::size_t i = 0; i < 500; ++i) {
    if (i >= 200) runs[i] = -3;
    few[i] = static_cast<double>(i * i % 64);
    many[i] = static_cast<double>(i * 7919 % 500) + 0.25;
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
  CHECK(json::parse(written(values)).is_array());
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
