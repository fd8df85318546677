#include "report/support/utf8.hpp"

#include <array>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace vramtrack::utf8 {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";
constexpr std::string_view ellipsis = "...";

std::uint8_t byte_at(std::string_view text, std::size_t i) noexcept { return static_cast<std::uint8_t>(text[i]); }

std::uint32_t decode(std::string_view text, std::size_t length) noexcept {
  constexpr std::array<std::uint8_t, 5> lead_mask = {0, 0x7f, 0x1f, 0x0f, 0x07};
  std::uint32_t point = byte_at(text, 0) & lead_mask[length];
  for (std::size_t i = 1; i < length; ++i) point = point << 6 | (byte_at(text, i) & 0x3fu);
  return point;
}

bool is_combining(std::uint32_t c) noexcept {
  return (c >= 0x300 && c <= 0x36f) || (c >= 0x1ab0 && c <= 0x1aff) || (c >= 0x20d0 && c <= 0x20ff) ||
         (c >= 0xfe00 && c <= 0xfe0f) || (c >= 0x200b && c <= 0x200d);
}

bool is_wide(std::uint32_t c) noexcept {
  return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
         (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
         (c >= 0x1f300 && c <= 0x1faff) || (c >= 0x20000 && c <= 0x3fffd);
}

bool is_hostile(std::uint32_t c) noexcept {
  return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200b || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

struct Glyph {
  std::size_t begin, length, columns;
};

Glyph glyph_at(std::string_view text, std::size_t at) noexcept {
  const std::size_t length = sequence_length(text.substr(at));
  if (length == 0) return {at, 1, 1};
  const std::uint32_t point = decode(text.substr(at), length);
  return {at, length, is_combining(point) ? 0u : is_wide(point) ? 2u : 1u};
}

}  // namespace

std::size_t sequence_length(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const std::uint8_t lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
  }
  const std::uint8_t second = byte_at(text, 1);
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;  // overlong, surrogates
  if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;  // overlong, above U+10FFFF
  return length;
}

bool is_valid(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text.substr(i));
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::string sanitise(std::string_view text) {
  if (is_valid(text)) return std::string(text);
  std::string out;
  out.reserve(text.size() + 8);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text.substr(i));
    out += length == 0 ? replacement : text.substr(i, length);
    i += length == 0 ? 1 : length;
  }
  return out;
}

std::size_t plain_length(std::string_view text) noexcept {
  const std::size_t length = sequence_length(text);
  return length != 0 && is_hostile(decode(text, length)) ? 0 : length;
}

std::uint32_t hostile_at(std::string_view text) noexcept {
  const std::size_t length = sequence_length(text);
  const std::uint32_t point = length == 0 ? 0 : decode(text, length);
  return is_hostile(point) ? point : 0;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) (text += text.empty() ? "" : " ") += word;
  return text;
}

std::string printable_lines(std::string_view text) {
  std::string out;
  for (std::size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1))
    (out += printable(text.substr(0, end))) += '\n';
  return out += printable(text);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(text.substr(i));
    if (length == 0) {
      out += replacement;
      ++i;
      continue;
    }
    const std::uint32_t point = decode(text.substr(i), length);
    if (is_hostile(point)) {
      std::array<char, 16> escape{};
      std::snprintf(escape.data(), escape.size(), point < 0x100 ? "\\x%02x" : "\\u%04x", static_cast<unsigned>(point));
      out += escape.data();
    } else {
      out += text.substr(i, length);
    }
    i += length;
  }
  return out;
}

std::size_t width(std::string_view text) noexcept {
  std::size_t columns = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Glyph glyph = glyph_at(text, i);
    columns += glyph.columns;
    i += glyph.length;
  }
  return columns;
}

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return "";
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1));
}

std::string shorten_middle(std::string_view text, std::size_t columns) {
  if (width(text) <= columns) return std::string(text);
  if (columns <= ellipsis.size()) return std::string(ellipsis.substr(0, columns));
  std::vector<Glyph> glyphs;
  for (std::size_t i = 0; i < text.size(); i += glyphs.back().length) glyphs.push_back(glyph_at(text, i));
  const std::size_t keep = columns - ellipsis.size();
  std::size_t head = keep / 3, tail = keep - head;
  std::size_t head_end = 0, tail_begin = text.size();
  for (const Glyph& glyph : glyphs) {
    if (glyph.columns > head) break;
    head -= glyph.columns;
    head_end = glyph.begin + glyph.length;
  }
  for (auto glyph = glyphs.rbegin(); glyph != glyphs.rend() && glyph->columns <= tail; ++glyph) {
    tail -= glyph->columns;
    tail_begin = glyph->begin;
  }
  return std::string(text.substr(0, head_end)) + std::string(ellipsis) + std::string(text.substr(tail_begin));
}

std::string_view prefix(std::string_view text, std::size_t bytes) noexcept {
  if (text.size() <= bytes) return text;
  std::size_t end = bytes;
  while (end > 0 && (byte_at(text, end) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace vramtrack::utf8
