// Three formats. All deltas are against the previous entry, the first against co_firstlineno.
//
//   3.9   co_lnotab:    (code bytes u8, line delta s8)*           an entry's line holds from its start on
//   3.10  co_linetable: (code bytes u8, line delta s8)*           -128: this range has no line
//   3.11+ location table: entries of 1 to 8 or more bytes, only the first of which has bit 7 set:
//           1 cccc lll   c: how the position is coded, l + 1: length in code units of 2 bytes
//           c = 0..9    same line               one more byte (columns)
//           c = 10..12  line + (c - 10)         two more bytes
//           c = 13      line + svarint
//           c = 14      line + svarint          then three varints (end line, columns)
//           c = 15      no line
#include "report/symbolize/python_lines.hpp"

namespace vramtrack {
namespace {

using Table = std::span<const std::uint8_t>;

/// Deltas of a damaged table may add up to anything: wrap, do not overflow.
int moved(int line, int delta) noexcept {
  return static_cast<int>(static_cast<std::uint32_t>(line) + static_cast<std::uint32_t>(delta));
}

constexpr std::uint32_t version_of(unsigned major, unsigned minor) { return major << 8 | minor; }

std::optional<int> line_in_lnotab(Table table, int line, std::uint32_t offset) noexcept {
  std::uint32_t at = 0;
  for (std::size_t i = 0; i + 1 < table.size(); i += 2) {
    at += table[i];
    if (at > offset) break;
    line = moved(line, static_cast<std::int8_t>(table[i + 1]));
  }
  return line;
}

std::optional<int> line_in_linetable(Table table, int line, std::uint32_t offset) noexcept {
  constexpr int no_line = -128;
  std::uint32_t end = 0;
  for (std::size_t i = 0; i + 1 < table.size(); i += 2) {
    const int delta = table[i + 1] < 128 ? table[i + 1] : table[i + 1] - 256;
    if (delta != no_line) line = moved(line, delta);
    end += table[i];
    if (offset < end) return delta == no_line ? std::nullopt : std::optional<int>(line);
  }
  return std::nullopt;
}

/// 6 bits a byte, least significant first, bit 6 set on all but the last; the lowest bit is the sign.
std::optional<int> read_signed_varint(Table table, std::size_t at) noexcept {
  std::uint32_t value = 0;
  for (unsigned shift = 0; shift < 32 && at < table.size(); shift += 6, ++at) {
    value |= (table[at] & 0x3fu) << shift;
    if ((table[at] & 0x40u) == 0) {
      const int magnitude = static_cast<int>(value >> 1);
      return (value & 1) != 0 ? -magnitude : magnitude;
    }
  }
  return std::nullopt;
}

std::optional<int> line_in_locations(Table table, int line, std::uint32_t offset) noexcept {
  std::uint32_t end = 0;
  for (std::size_t i = 0; i < table.size();) {
    const unsigned head = table[i];
    if ((head & 0x80u) == 0) return std::nullopt;
    const unsigned code = head >> 3 & 0xfu;
    bool has_line = true;
    if (code == 15) {
      has_line = false;
    } else if (code >= 13) {
      const std::optional<int> delta = read_signed_varint(table, i + 1);
      if (!delta) return std::nullopt;
      line = moved(line, *delta);
    } else if (code >= 10) {
      line = moved(line, static_cast<int>(code) - 10);
    }
    end += ((head & 7u) + 1) * 2;
    if (offset < end) return has_line ? std::optional<int>(line) : std::nullopt;
    do {
      ++i;
    } while (i < table.size() && (table[i] & 0x80u) == 0);
  }
  return std::nullopt;
}

}  // namespace

std::optional<int> python_line(const PythonCode& code, std::uint32_t offset) noexcept {
  if (code.version >= version_of(3, 11)) return line_in_locations(code.line_table, code.first_line, offset);
  if (code.version == version_of(3, 10)) return line_in_linetable(code.line_table, code.first_line, offset);
  return line_in_lnotab(code.line_table, code.first_line, offset);
}

}  // namespace vramtrack
