// How the traced process writes a fact (the value of a note): typed values, in the part of CBOR (RFC 8949) below. There
// is nothing to escape, and a reader skips what it does not know. The three bytes of CBOR's own mark come first, so
// that a fact is told from the text that older libraries wrote; any CBOR reader can read what follows.
//
//   byte            value
//   00..1b          unsigned number, with 0, 1, 2, 4 or 8 bytes (big-endian) behind it
//   60..7b          text of that many bytes, UTF-8 as the process had it
//   9f ... ff       list
//   bf ... ff       map: text, value, text, value ...
//   f4 f5 f6        false, true, null
#pragma once

#include <cstdint>
#include <string_view>

namespace vramtrack::fact {

inline constexpr std::string_view mark = "\xd9\xd9\xf7";

enum class Major : std::uint8_t { number = 0x00, text = 0x60 };
inline constexpr std::uint8_t major_mask = 0xe0;
namespace code {
inline constexpr std::uint8_t list = 0x9f, map = 0xbf, end = 0xff, off = 0xf4, on = 0xf5, null = 0xf6;
}
inline constexpr std::uint8_t in_1_byte = 24, in_2_bytes = 25, in_4_bytes = 26, in_8_bytes = 27;
inline constexpr int most_levels = 16;  // lists and maps within each other

}  // namespace vramtrack::fact
