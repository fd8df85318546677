// The tables of CPython's layouts: what is not known is refused.
#include <array>
#include <catch2/catch.hpp>
#include <cstring>

#include "interpose/stacks/python_layout.hpp"

namespace vramtrack::stacks {
namespace {

/// _Py_DebugOffsets as CPython 3.13.0 and 3.14.8 have it, from their headers: sections in order, sizes first.
struct Published {
  std::array<std::uint64_t, 64> words{};
  Published(std::uint32_t version, bool free_threaded) {
    const bool longer = version == 0x30e;
    std::memcpy(words.data(), "xdebugpy", 8);
    words[1] = version << 16 | 0xf0;
    words[2] = free_threaded ? 1 : 0;
    std::uint64_t* const thread = words.data() + 3 + 3 + (longer ? 16 : 13);
    thread[4] = 72;
    thread[5] = 152;
    std::uint64_t* const frame = thread + 9;
    frame[1] = 8;
    frame[2] = 0;
    frame[3] = 56;
    frame[5] = longer ? 74 : 70;
    std::uint64_t* const code = frame + (longer ? 8 : 6);
    const std::uint64_t more = free_threaded ? 16 : 0;
    code[1] = 112 + more;
    code[2] = 120 + more;
    code[3] = 128 + more;
    code[4] = 136 + more;
    code[5] = 68 + more;
    code[9] = (longer ? 208 : 200) + more;
  }
};

/// Where the reader of frames finds the owner of a frame that has `owner` at the published place.
unsigned owner_of(const PythonLayout& layout, std::uint8_t owner) {
  std::array<std::uint8_t, 96> frame;
  frame.fill(0xff);
  frame[layout.owner] = owner;
  std::uint64_t word = 0;
  std::memcpy(&word, frame.data() + layout.flags, sizeof word);
  return static_cast<unsigned>((word & layout.flags_mask) << layout.flags_shift >> layout.owner_shift);
}

}  // namespace

TEST_CASE("versions that are not known are refused") {
  PythonLayout layout;
  const unsigned version = GENERATE(0x207u, 0x308u, 0x30du, 0x30eu, 0x30fu, 0x400u, 0u);
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
  Published published(0x30d, free_threaded);
  PythonLayout layout;
  REQUIRE(python_layout(0x30d, free_threaded, published.words.data(), layout));
  CHECK(layout.frame == 72);
  CHECK(layout.instruction == 56);
  CHECK(owner_of(layout, 2) == 2);
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

TEST_CASE("3.14 is read from what the interpreter publishes, with a GIL") {
  Published published(0x30e, false);
  PythonLayout layout;
  REQUIRE(python_layout(0x30e, false, published.words.data(), layout));
  CHECK(layout.frame == 72);
  CHECK(layout.thread_id == 152);
  CHECK(layout.instruction == 56);
  CHECK(layout.owner == 74);
  CHECK(owner_of(layout, 3) == 3);
  CHECK(layout.file == 112);
  CHECK(layout.instructions == 208);
  CHECK(layout.first_traceable == 192);
  CHECK(layout.type_dealloc == 48);
  CHECK(layout.compact_data == 56);

  Published as_before(0x30d, false);  // the sections of 3.13 under the new number
  as_before.words[1] = 0x030e00f0;
  CHECK_FALSE((python_layout(0x30e, false, as_before.words.data(), layout) && layout.owner == 74));

  Published free_threaded(0x30e, true);
  CHECK_FALSE(python_layout(0x30e, true, free_threaded.words.data(), layout));
}

}  // namespace vramtrack::stacks
