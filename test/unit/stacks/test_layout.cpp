// The tables of CPython's layouts: what is not known is refused.
#include <array>
#include <catch2/catch.hpp>
#include <cstring>

#include "interpose/stacks/python_layout.hpp"

namespace vramtrack::stacks {
namespace {

/// _Py_DebugOffsets as CPython 3.13.0 has it, from its public header: sections in order, sizes first.
struct Published {
  std::array<std::uint64_t, 64> words{};
  Published(bool free_threaded) {
    std::memcpy(words.data(), "xdebugpy", 8);
    words[1] = 0x030d00f0;
    words[2] = free_threaded ? 1 : 0;
    std::uint64_t* const thread = words.data() + 3 + 3 + 13;
    thread[4] = 72;
    thread[5] = 152;
    std::uint64_t* const frame = thread + 9;
    frame[1] = 8;
    frame[2] = 0;
    frame[3] = 56;
    frame[5] = 70;
    std::uint64_t* const code = frame + 6;
    const std::uint64_t more = free_threaded ? 16 : 0;
    code[1] = 112 + more;
    code[2] = 120 + more;
    code[3] = 128 + more;
    code[4] = 136 + more;
    code[5] = 68 + more;
    code[9] = 200 + more;
  }
};

}  // namespace

TEST_CASE("versions that are not known are refused") {
  PythonLayout layout;
  const unsigned version = GENERATE(0x207u, 0x308u, 0x30eu, 0x400u, 0u);
  CHECK_FALSE(python_layout(version, false, nullptr, layout));
}

TEST_CASE("versions with tables need nothing from the process") {
  PythonLayout layout;
  const unsigned version = GENERATE(0x309u, 0x30au, 0x30bu, 0x30cu);
  REQUIRE(python_layout(version, false, nullptr, layout));
  CHECK(layout.version == version);
  CHECK(layout.interpreter_frames == (version >= 0x30b));
  CHECK(layout.ascii_data == (version >= 0x30c ? 40u : 48u));
}

TEST_CASE("3.13 is read from what the interpreter publishes") {
  const bool free_threaded = GENERATE(false, true);
  Published published(free_threaded);
  PythonLayout layout;
  REQUIRE(python_layout(0x30d, free_threaded, published.words.data(), layout));
  CHECK(layout.frame == 72);
  CHECK(layout.instruction == 56);
  CHECK(layout.first_traceable == (free_threaded ? 200u : 184u));  // as offsetof says in the headers
  CHECK(layout.bytes_data == (free_threaded ? 48u : 32u));
  CHECK(layout.type_dealloc == (free_threaded ? 64u : 48u));
  CHECK(layout.compact_data == (free_threaded ? 72u : 56u));

  CHECK_FALSE(python_layout(0x30d, free_threaded, nullptr, layout));
  CHECK_FALSE(python_layout(0x30d, !free_threaded, published.words.data(), layout));
  published.words[20] = 1u << 20;  // no offset
  CHECK_FALSE(python_layout(0x30d, free_threaded, published.words.data(), layout));
  published.words[0] = 0;
  CHECK_FALSE(python_layout(0x30d, free_threaded, published.words.data(), layout));
}

}  // namespace vramtrack::stacks
