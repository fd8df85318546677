// Compact JSON for the page's data block: columns instead of objects, each string written once. The text is made safe
// for a <script> element at the end (safe_for_script), so callers may append any valid JSON.
#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vramtrack::render {

/// Strings by number, in order of first use.
class StringTable {
 public:
  std::uint32_t operator()(std::string_view text);
  const std::vector<std::string>& strings() const { return strings_; }

 private:
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<std::string> strings_;
};

inline void append_number(std::string& out, double value) {
  char text[40];
  if (!std::isfinite(value)) value = 0;  // JSON has no infinities
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

template <typename Integer>
requires std::is_integral_v<Integer>
void append_number(std::string& out, Integer value) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

/// Seconds rounded to 0.1 ms: enough for the page, and a third of the digits.
inline double page_seconds(double seconds) { return std::round(seconds * 1e4) / 1e4; }

/// Writes a column in the shortest of five forms: one number (all rows are equal), {"runs": [value, rows, ...]},
/// {"of": [values], "codes": "one letter of the base64 alphabet a row"} (at most 64 values), {"low", "unit", "per",
/// "bits", "base64": words of 8, 16 or 32 bits} (a row is (low + unit * its word) / per), or a plain array.
/// Doubles are exact for integers below 2^53, which is also all that JavaScript can read.
void write_column(std::string& out, std::span<const double> values);

/// A JSON object written key by key.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }

  std::string& key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    out_ += '"';
    out_ += name;
    out_ += "\":";
    return out_;
  }

  /// A column: value(row) for every row, in the shortest form of write_column().
  template <typename Rows, typename Value>
  void column(std::string_view name, const Rows& rows, Value value) {
    std::vector<double> values;
    values.reserve(std::size(rows));
    for (const auto& row : rows) values.push_back(static_cast<double>(value(row)));
    write_column(key(name), values);
  }

  void close() { out_ += '}'; }

 private:
  std::string& out_;
  bool first_ = true;
};

/// Escapes what could end or confuse a <script> element (`<`, U+2028, U+2029). In JSON these can only stand inside
/// strings, so the value is unchanged.
std::string safe_for_script(std::string_view json);

}  // namespace vramtrack::render
