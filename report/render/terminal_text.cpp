#include "report/render/terminal_text.hpp"

#include <algorithm>

#include "report/support/utf8.hpp"

namespace vramtrack::render {

std::string pad_left(const std::string& text, std::size_t columns) {
  const std::size_t width = utf8::width(text);
  return width >= columns ? text : std::string(columns - width, ' ') + text;
}

std::string pad_right(const std::string& text, std::size_t columns) {
  const std::size_t width = utf8::width(text);
  return width >= columns ? text : text + std::string(columns - width, ' ');
}

std::string cut_end(const std::string& text, std::size_t columns) {
  if (utf8::width(text) <= columns) return text;
  if (columns < 4) return "";
  std::string kept;
  for (std::size_t i = 0, used = 0; i < text.size();) {
    const std::size_t length = std::max<std::size_t>(1, utf8::sequence_length(std::string_view(text).substr(i)));
    const std::string glyph = text.substr(i, length);
    used += utf8::width(glyph);
    if (used + 3 > columns) break;
    kept += glyph;
    i += length;
  }
  return kept + "...";
}

std::string short_path(const std::string& path, std::size_t columns) {
  if (utf8::width(path) <= columns) return path;
  constexpr std::string_view cut = "...";
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    if (cut.size() + utf8::width(std::string_view(path).substr(slash)) <= columns) {
      return std::string(cut) + path.substr(slash);
    }
  }
  const std::size_t last = path.rfind('/');
  return utf8::shorten_middle(last == std::string::npos ? path : path.substr(last + 1), columns);
}

std::string cut_code(const std::string& code, std::size_t columns) {
  if (utf8::width(code) <= columns) return code;
  // Two spaces before it are what every formatter puts there; a '#' in a string rarely has them.
  const std::size_t comment = code.find("  #");
  return cut_end(comment == std::string::npos ? code : utf8::trimmed(code.substr(0, comment)), columns);
}

namespace {
constexpr char glue = '\x1f';  // no text for a terminal holds it: printable() escapes it
}

std::string glued(std::string text) {
  std::replace(text.begin(), text.end(), ' ', glue);
  return text;
}

std::vector<std::string> wrapped(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines;
  std::string line;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = std::min(text.find(' ', i), text.size());
    const std::string_view word = text.substr(i, end - i);
    i = end + 1;
    if (word.empty()) continue;
    if (!line.empty() && utf8::width(line) + 1 + utf8::width(word) > columns) {
      lines.push_back(std::move(line));
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  if (!line.empty()) lines.push_back(std::move(line));
  for (std::string& done : lines) std::replace(done.begin(), done.end(), glue, ' ');
  return lines;
}

}  // namespace vramtrack::render
