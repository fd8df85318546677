#include <catch2/catch.hpp>
#include <random>

#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

using namespace vramtrack;

TEST_CASE("bytes, durations and counts as people read them") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(1024) == "1.00 KiB");
  CHECK(human_bytes(8519680) == "8.12 MiB");
  CHECK(human_bytes(12025908428) == "11.2 GiB");
  CHECK(human_bytes(1047500) == "1023 KiB");
  CHECK(human_bytes(1048575) == "1.00 MiB");  // never "1024 KiB"
  CHECK(human_bytes(~0ull) == "16.0 EiB");
  CHECK(table_bytes(641728512) == "612.0 MiB");
  CHECK(table_bytes(1048575) == "1.0 MiB");
  CHECK(signed_bytes(-512) == "-512 B");
  CHECK(signed_bytes(0.2) == "0 B");
  CHECK(signed_bytes(37748736) == "+36.0 MiB");
  CHECK(human_duration(0.413) == "0.41 s");
  CHECK(human_duration(12.34) == "12.3 s");
  CHECK(human_duration(151) == "2 min 31 s");
  CHECK(human_duration(3725) == "1 h 02 min");
  CHECK(human_duration(2 * 86400 + 4 * 3600) == "2 d 4 h");
  CHECK(human_duration(-1) == "0 s");
  CHECK(human_count(1204) == "1,204");
  CHECK(human_count(1000000) == "1,000,000");
  CHECK(plural(1, "block") == "1 block");
  CHECK(plural(0, "block") == "0 blocks");
}

TEST_CASE("invalid UTF-8 becomes the replacement character") {
  CHECK(utf8::sanitise("caf\xc3\xa9") == "caf\xc3\xa9");
  CHECK(utf8::sanitise("a\xffz") == "a\xef\xbf\xbdz");
  CHECK(utf8::sanitise("\xc3") == "\xef\xbf\xbd");
  CHECK_FALSE(utf8::is_valid("\xed\xa0\x80"));      // a surrogate
  CHECK_FALSE(utf8::is_valid("\xc0\xaf"));          // overlong
  CHECK_FALSE(utf8::is_valid("\xf5\x80\x80\x80"));  // above the last
  CHECK(utf8::is_valid("\xf0\x9f\x98\x80"));
  std::mt19937 random(2);
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 12, '\0');
    for (char& c : text) c = static_cast<char>(random());
    REQUIRE(utf8::is_valid(utf8::sanitise(text)));
  }
}

TEST_CASE("what is printed cannot drive the terminal") {
  CHECK(utf8::printable("a\x1b[2Jb") == "a\\x1b[2Jb");
  CHECK(utf8::printable("\xe2\x80\xae"
                        "cba") == "\\u202ecba");
  CHECK(utf8::printable("line\nbreak") == "line\\x0abreak");
  CHECK(utf8::printable("\xc2\x9b") == "\\x9b");
}

TEST_CASE("texts are shortened in their middle, by columns") {
  CHECK(utf8::shorten_middle("short", 10) == "short");
  CHECK(utf8::shorten_middle("/home/user/project/model.py", 16) == "/hom.../model.py");
  CHECK(utf8::width("\xe6\xbc\xa2\xe5\xad\x97") == 4);
  CHECK(utf8::width("e\xcc\x81") == 1);
  CHECK(utf8::width("\xd7\xa9\xd6\xb8") == 1);                      // a Hebrew letter with its point
  CHECK(utf8::width("\xe0\xb8\x81\xe0\xb8\xb5\xe0\xb9\x89") == 1);  // a Thai letter with vowel and tone
  CHECK(utf8::width("\xe2\x8c\x9a") == 2);                          // an emoji of the first plane
  for (std::size_t columns = 0; columns < 30; ++columns) {
    CHECK(utf8::width(utf8::shorten_middle("\xe6\xbc\xa2\xe5\xad\x97/abc/\xe6\xbc\xa2\xe5\xad\x97/def.py", columns)) <=
          columns);
  }
  CHECK(utf8::prefix("a\xc3\xa9", 2) == "a");
}
