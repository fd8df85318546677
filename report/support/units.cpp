#include "report/support/units.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace vramtrack {
namespace {

constexpr std::array<const char*, 7> suffixes = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};

std::string format(const char* pattern, double value) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), pattern, value);
  return text.data();
}

/// Divides down to the unit in which `value`, once rounded to its digits, is below 1024.
template <typename Digits>
std::string in_units(double value, Digits digits_of) {
  std::size_t unit = 0;
  while (unit + 1 < suffixes.size() && value >= 1023.95) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return format("%.0f", value) + suffixes[0];
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits_of(value), value);
  return std::string(text.data()) + suffixes[unit];
}

int three_digits(double value) { return value < 9.995 ? 2 : value < 99.95 ? 1 : 0; }

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  const double value = static_cast<double>(bytes);
  std::string text = in_units(value, three_digits);
  // Three digits may round 1023.6 KiB up to "1024 KiB": say it in the next unit.
  if (text.rfind("1024 ", 0) == 0) return in_units(value * 1.0005, three_digits);
  return text;
}

std::string table_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  return in_units(static_cast<double>(bytes), [](double) { return 1; });
}

std::uint64_t whole(double value) {
  if (!(value > 0)) return 0;
  constexpr double most = 9.2e18;  // below 2^63: also a signed number holds it
  return static_cast<std::uint64_t>(std::round(std::min(value, most)));
}

std::string signed_bytes(double bytes) {
  const std::uint64_t magnitude = whole(std::fabs(bytes));
  if (magnitude == 0) return "0 B";
  return (bytes < 0 ? "-" : "+") + human_bytes(magnitude);
}

std::string human_duration(double seconds) {
  if (!(seconds > 0)) return "0 s";
  if (seconds < 9.995) return format("%.2f s", seconds);
  if (seconds < 59.95) return format("%.1f s", seconds);
  const auto all = static_cast<long long>(whole(seconds));
  std::array<char, 64> text{};
  if (all < 3600) {
    std::snprintf(text.data(), text.size(), "%lld min %02lld s", all / 60, all % 60);
  } else if (all < 86400) {
    std::snprintf(text.data(), text.size(), "%lld h %02lld min", all / 3600, all % 3600 / 60);
  } else {
    std::snprintf(text.data(), text.size(), "%lld d %lld h", all / 86400, all % 86400 / 3600);
  }
  return text.data();
}

std::string human_count(std::uint64_t count) {
  std::string digits = std::to_string(count);
  for (auto i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3) {
    digits.insert(static_cast<std::size_t>(i), 1, ',');
  }
  return digits;
}

std::string cuda_version(std::uint64_t number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string plural(std::uint64_t count, const char* singular) {
  return human_count(count) + " " + singular + (count == 1 ? "" : "s");
}

}  // namespace vramtrack
