#include <catch2/catch.hpp>
#include <sstream>

#include "report/render/ci.hpp"
#include "report/render/json_writer.hpp"
#include "report/render/page_data.hpp"
#include "report/support/utf8.hpp"
#include "test/unit/report/sample_report.hpp"

using namespace vramtrack;

using test::sample, test::text_of;

TEST_CASE("hostile names reach neither the terminal nor the structure of a format") {
  Report report = sample();
  report.frames[1].function = "\x1b[2J</script>\";\n\xe2\x80\xae" + std::string(10000, 'x');
  report.process.command = {"a\x1b]0;title\x07"};
  CHECK(text_of(report).find('\x1b') == std::string::npos);
  std::ostringstream folded;
  render::folded(report, folded);
  std::istringstream lines(folded.str());
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) CHECK(line.find_last_of(' ') < line.size() - 1);
  CHECK(count == 2);

  std::ostringstream json;
  report.frames[0].function = std::string("\xff\xfe\x00 invalid", 11);
  report.frames[0].file = std::string("nul\0inside", 10);
  render::json(report, json);
  CHECK(utf8::is_valid(json.str()));
  const Json parsed = Json::parse(json.str());
  CHECK(parsed["frames"][0]["file"] == std::string("nul\0inside", 10));
  CHECK(parsed["frames"][1]["function"] == report.frames[1].function);
}

TEST_CASE("folded stacks: outermost first, bytes last") {
  std::ostringstream out;
  render::folded(sample(), out);
  CHECK(out.str() ==
        "<module> (train.py:27);Block.__init__ (model.py:31);Linear.__init__ (linear.py:100) 641728512\n"
        "<module> (train.py:27) 1048576\n");
}

TEST_CASE("numbers in JSON keep all their digits") {
  std::ostringstream out;
  {
    render::JsonWriter writer(out);
    writer.begin_array();
    writer.value(std::uint64_t{18446744073709551615u});
    writer.value(std::int64_t{-9223372036854775807});
    writer.value(0.1);
    writer.value(1e300 * 1e300);
    writer.end_array();
  }
  CHECK(out.str() == "[18446744073709551615, -9223372036854775807, 0.1, null]");
}

TEST_CASE("of a killed process every format says how far it was looked at") {
  Report report = test::sample();
  report.findings.clear();
  report.process.end = {"killed", 9};
  std::ostringstream summary;
  render::markdown(report, "", summary);
  CHECK(summary.str().find("No problem found, as far as it could be looked at") != std::string::npos);
  const std::string page = render::page_data(report, "");
  CHECK(page.find("\"none_found\":\"No problem found, as far as it could be looked at") != std::string::npos);
  CHECK(page.find("\"now\":\"when it was killed\"") != std::string::npos);
}

TEST_CASE("an empty report is rendered") {
  const std::string text = text_of(Report{});
  CHECK(text.find("Nothing was recorded: this report holds no data") != std::string::npos);
  CHECK(text.find("No problem found") == std::string::npos);
  CHECK(text.find("  nothing\n") != std::string::npos);
}
