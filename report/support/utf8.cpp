#include "report/support/utf8.hpp"

#include <utf8proc.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <vector>

namespace vramtrack::utf8 {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";
constexpr std::string_view ellipsis = "...";

struct Character {
  std::size_t length;  // in bytes; 0: not valid
  std::int32_t point;
};

Character character_at(std::string_view text) noexcept {
  std::int32_t point = -1;
  const auto bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const std::ptrdiff_t length = text.empty() ? 0 : utf8proc_iterate(bytes, std::ssize(text), &point);
  return {length > 0 ? static_cast<std::size_t>(length) : 0, point};
}

// Not all that Unicode calls a control or format character: joiners belong to what is written.
bool is_hostile(std::int32_t c) noexcept {
  return (c >= 0 && c < 0x20) || (c >= 0x7f && c <= 0x9f) || c == 0x061c || c == 0x200b || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

struct Glyph {
  std::size_t begin, length, columns;
};

Glyph glyph_at(std::string_view text, std::size_t at) noexcept {
  const auto [length, point] = character_at(text.substr(at));
  // A control character stands for one that is printed in its place: of glued(), a blank.
  if (length == 0 || point < 0x20) return {at, 1, 1};
  return {at, length, static_cast<std::size_t>(utf8proc_charwidth(point))};
}

}  // namespace

std::size_t sequence_length(std::string_view text) noexcept { return character_at(text).length; }

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
  const auto [length, point] = character_at(text);
  return is_hostile(point) ? 0 : length;
}

std::uint32_t hostile_at(std::string_view text) noexcept {
  const std::int32_t point = character_at(text).point;
  return is_hostile(point) ? static_cast<std::uint32_t>(point) : 0;
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
    const auto [length, point] = character_at(text.substr(i));
    if (length == 0) {
      out += replacement;
      ++i;
      continue;
    }
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

std::string padded(std::string_view text, std::size_t columns) {
  const std::size_t used = width(text);
  return std::string(text) + std::string(used < columns ? columns - used : 0, ' ');
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
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace vramtrack::utf8
