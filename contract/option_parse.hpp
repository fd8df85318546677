// How the text of an option is read, in the traced process and in the tools alike: nothing here allocates, throws, asks
// the locale or needs libstdc++.
#pragma once

#include <cstdint>
#include <string_view>

namespace vramtrack::option {

/// "" and "0" are off, everything else is on.
constexpr bool parse_flag(std::string_view text) noexcept { return !text.empty() && text != "0"; }

namespace detail {

constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

constexpr std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Bytes of a unit: k and KiB are of 1024, kB is of 1000, in any case of letters. 0: no unit.
constexpr std::uint64_t unit_bytes(std::string_view unit) noexcept {
  if (unit.empty() || (unit.size() == 1 && lower(unit[0]) == 'b')) return 1;
  constexpr std::string_view letters = "kmgt";
  const std::size_t power = letters.find(lower(unit[0]));
  if (power == letters.npos) return 0;
  std::uint64_t base = 1024;
  if (unit.size() == 2 && lower(unit[1]) == 'b')
    base = 1000;
  else if (unit.size() != 1 && !(unit.size() == 3 && lower(unit[1]) == 'i' && lower(unit[2]) == 'b'))
    return 0;
  std::uint64_t bytes = base;
  for (std::size_t i = 0; i < power; ++i) bytes *= base;
  return bytes;
}

}  // namespace detail

/// "2": the number, at most 9; whatever else is on: 1.
constexpr unsigned parse_count(std::string_view text) noexcept {
  if (!parse_flag(text)) return 0;
  return text.size() == 1 && detail::is_digit(text[0]) ? static_cast<unsigned>(text[0] - '0') : 1;
}

inline constexpr std::uint64_t most_bytes = 1'000'000'000'000'000'000;  // 10^18: sums of a few still fit

/// "1048576", "64KiB", "1.5 MiB", "10mb" -> whole bytes, rounded down. False, and `bytes` as it was, when it is no
/// size.
constexpr bool parse_size(std::string_view text, std::uint64_t& bytes) noexcept {
  using Wide = unsigned __int128;
  text = detail::trimmed(text);
  Wide whole = 0, fraction = 0, scale = 1;
  std::size_t at = 0, digits = 0;
  for (; at < text.size() && detail::is_digit(text[at]); ++at, ++digits) {
    whole = whole * 10 + static_cast<unsigned>(text[at] - '0');
    if (whole > most_bytes) return false;
  }
  if (at < text.size() && text[at] == '.')
    for (++at; at < text.size() && detail::is_digit(text[at]); ++at, ++digits) {
      if (scale > most_bytes) continue;  // less than a byte of any unit
      fraction = fraction * 10 + static_cast<unsigned>(text[at] - '0');
      scale *= 10;
    }
  text.remove_prefix(at);  // not substr(), which may throw: the traced process links no libstdc++
  const Wide unit = detail::unit_bytes(detail::trimmed(text));
  if (digits == 0 || unit == 0) return false;
  const Wide result = whole * unit + fraction * unit / scale;
  if (result > most_bytes) return false;
  bytes = static_cast<std::uint64_t>(result);
  return true;
}

}  // namespace vramtrack::option
