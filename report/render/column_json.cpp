#include "report/render/column_json.hpp"

namespace vramtrack::render {

std::uint32_t StringTable::operator()(std::string_view text) {
  const auto [place, added] = x_ids.try_emplace(std::string(text), static_cast<std::uint32_t>(x_strings.size()));
  if (added) x_strings.emplace_back(text);
  return place->second;
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
