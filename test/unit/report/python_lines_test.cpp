#include "report/symbolize/python_lines.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <sstream>

#include "test/unit/report/interpreters.hpp"

using vramtrack::python_line;
using vramtrack::PythonCode;

namespace {

struct Case {
  unsigned minor = 0;
  int first_line = 0;
  std::vector<std::uint8_t> table;
  std::vector<std::pair<std::uint32_t, int>> lines;
};

Case parse(const std::string& text) {
  std::istringstream in(text);
  Case result;
  std::string hex;
  in >> result.minor >> result.first_line >> hex;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    result.table.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  for (std::string pair; in >> pair;) {
    const std::size_t colon = pair.find(':');
    result.lines.emplace_back(std::stoul(pair.substr(0, colon)), std::stoi(pair.substr(colon + 1)));
  }
  return result;
}

int line_of(const Case& code, std::uint32_t offset) {
  const PythonCode table{3u << 8 | code.minor, code.first_line, code.table};
  return python_line(table, offset).value_or(0);
}

}  // namespace

TEST_CASE("lines equal what each interpreter says of its own code objects") {
  const auto interpreters = vramtrack::test::interpreters();
  REQUIRE_FALSE(interpreters.empty());
  for (const std::string& interpreter : interpreters) {
    INFO(interpreter);
    const std::string output = vramtrack::test::output_of(interpreter + " -W ignore " PRINT_LINES);
    std::istringstream lines(output);
    std::size_t codes = 0, offsets = 0, wrong = 0;
    for (std::string text; std::getline(lines, text); ++codes) {
      const Case code = parse(text);
      for (const auto& [offset, line] : code.lines) {
        ++offsets;
        if (line_of(code, offset) == line) continue;
        if (++wrong <= 3) UNSCOPED_INFO("offset " << offset << ": " << line_of(code, offset) << " not " << line);
      }
    }
    CHECK(wrong == 0);
    CHECK(codes > 500);
    CHECK(offsets > 20000);
  }
}

TEST_CASE("a damaged line table gives some line or none, never a crash") {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    Case code;
    code.minor = 9 + static_cast<unsigned>(round) % 5;
    code.first_line = static_cast<int>(random());
    code.table.resize(random() % 40);
    for (auto& byte : code.table) byte = static_cast<std::uint8_t>(random());
    line_of(code, static_cast<std::uint32_t>(random() % 200));
    line_of(code, 0xffffffffu);
  }
  const Case empty{11, 5, {}, {}};
  CHECK(line_of(empty, 0) == 0);
}
