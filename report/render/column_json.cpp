#include "report/render/column_json.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

namespace vramtrack::render {
namespace {

constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::size_t count_runs(std::span<const double> values) {
  std::size_t runs = 1;
  for (std::size_t i = 1; i < values.size(); ++i) runs += values[i] != values[i - 1] ? 1 : 0;
  return runs;
}

/// The distinct values, or nothing when there are more than letters.
std::vector<double> few_values(std::span<const double> values) {
  std::vector<double> few;
  for (const double value : values) {
    if (std::ranges::find(few, value) != few.end()) continue;
    if (few.size() == letters.size()) return {};
    few.push_back(value);
  }
  return few;
}

/// Every value as (low + unit * number) / per, the numbers as little-endian words. Half the length of a plain array,
/// and no number is parsed when the page is opened.
struct Words {
  std::int64_t low = 0, unit = 1;
  int per = 1, bytes = 0;
  std::vector<std::int64_t> numbers;
};

/// Nothing when a value has more than four decimals, is not exact in JavaScript, or the numbers need more than 32 bits.
std::optional<Words> as_words(std::span<const double> values) {
  constexpr double exact_below = 4503599627370496.0;  // 2^52: low + unit * number stays below 2^53
  Words words;
  words.per = std::ranges::all_of(values, [](double value) { return std::trunc(value) == value; }) ? 1 : 10000;
  for (const double value : values) {
    const double scaled = std::round(value * words.per);
    if (!(std::abs(scaled) < exact_below) || scaled / words.per != value) return std::nullopt;
    words.numbers.push_back(static_cast<std::int64_t>(scaled));
  }
  const auto fits = [](std::int64_t most) {
    return most < 0x100 ? 1 : most < 0x10000 ? 2 : most < 0x100000000 ? 4 : 0;
  };
  const auto [low, high] = std::ranges::minmax(words.numbers);
  const int plain = low >= 0 ? fits(high) : 0;
  std::int64_t unit = 0;
  for (const std::int64_t number : words.numbers) unit = std::gcd(unit, number - low);
  const int scaled = unit > 0 ? fits((high - low) / unit) : 0;
  if (plain == 0 && scaled == 0) return std::nullopt;
  words.bytes = plain != 0 && (scaled == 0 || plain <= scaled) ? plain : scaled;
  if (words.bytes == plain) return words;  // read without any arithmetic
  words.low = low;
  words.unit = unit;
  for (std::int64_t& number : words.numbers) number = (number - low) / unit;
  return words;
}

std::string base64(const Words& words) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const std::int64_t number : words.numbers) {
    for (int i = 0; i < words.bytes; ++i) {
      bits = bits << 8 | static_cast<std::uint32_t>(number >> (8 * i) & 0xFF);
      for (held += 8; held >= 6; held -= 6) out += letters[bits >> (held - 6) & 63];
    }
  }
  if (held > 0) out += letters[bits << (6 - held) & 63];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

std::string words_text(const Words& words) {
  std::string out = "{\"low\":" + std::to_string(words.low) + ",\"unit\":" + std::to_string(words.unit);
  out += ",\"per\":" + std::to_string(words.per) + ",\"bits\":" + std::to_string(8 * words.bytes);
  return out + ",\"base64\":\"" + base64(words) + "\"}";
}

void append_array(std::string& out, std::span<const double> values) {
  out += '[';
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i != 0) out += ',';
    append_number(out, values[i]);
  }
  out += ']';
}

}  // namespace

std::uint32_t StringTable::operator()(std::string_view text) {
  const auto [place, added] = ids_.try_emplace(std::string(text), static_cast<std::uint32_t>(strings_.size()));
  if (added) strings_.emplace_back(text);
  return place->second;
}

void write_column(std::string& out, std::span<const double> values) {
  if (values.empty()) {
    out += "[]";
    return;
  }
  const std::size_t runs = count_runs(values);
  if (runs == 1) {
    append_number(out, values[0]);
    return;
  }
  if (runs * 8 < values.size()) {
    std::vector<double> pairs;
    for (std::size_t i = 0, begin = 0; i < values.size(); ++i) {
      if (i + 1 < values.size() && values[i + 1] == values[i]) continue;
      pairs.push_back(values[i]);
      pairs.push_back(static_cast<double>(i + 1 - begin));
      begin = i + 1;
    }
    out += "{\"runs\":";
    append_array(out, pairs);
    out += '}';
    return;
  }
  const std::vector<double> few = values.size() < 256 ? std::vector<double>{} : few_values(values);
  if (few.empty()) {
    std::string plain;
    append_array(plain, values);
    const std::optional<Words> words = as_words(values);
    const std::string packed = words ? words_text(*words) : "";
    out += words && packed.size() < plain.size() ? packed : plain;
    return;
  }
  out += "{\"of\":";
  append_array(out, few);
  out += ",\"codes\":\"";
  for (const double value : values) {
    out += letters[static_cast<std::size_t>(std::ranges::find(few, value) - few.begin())];
  }
  out += "\"}";
}

std::string safe_for_script(std::string_view json) {
  std::string out;
  out.reserve(json.size() + json.size() / 64);
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (c == '<') {
      out += "\\u003c";
    } else if (c == '\xE2' && i + 2 < json.size() && json[i + 1] == '\x80' &&
               (json[i + 2] == '\xA8' || json[i + 2] == '\xA9')) {
      out += json[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace vramtrack::render
