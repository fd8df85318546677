#include "report/render/column_json.hpp"

#include <algorithm>

namespace vramtrack::render {
namespace {

constexpr std::string_view k_letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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
    if (few.size() == k_letters.size()) return {};
    few.push_back(value);
  }
  return few;
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
  const auto [place, added] = x_ids.try_emplace(std::string(text), static_cast<std::uint32_t>(x_strings.size()));
  if (added) x_strings.emplace_back(text);
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
    append_array(out, values);
    return;
  }
  out += "{\"of\":";
  append_array(out, few);
  out += ",\"codes\":\"";
  for (const double value : values) {
    out += k_letters[static_cast<std::size_t>(std::ranges::find(few, value) - few.begin())];
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
