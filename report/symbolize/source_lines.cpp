#include "report/symbolize/source_lines.hpp"

#include <cerrno>
#include <cstring>

#include "report/support/files.hpp"
#include "report/support/log.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

constexpr std::size_t most_file_bytes = 4u << 20;
constexpr std::size_t most_bytes_read = 128u << 20;  // of all files together
constexpr std::size_t most_line_bytes = 200;

}  // namespace

const SourceLines::Text& SourceLines::open(const std::string& file) {
  const auto [at, added] = files_.try_emplace(file);
  Text& text = at->second;
  if (!added || bytes_ > most_bytes_read || file.empty() || file.front() != '/') return text;
  const files::Descriptor opened = files::open_regular_for(file, reader_);
  if (!opened)
    log::debug("skipped: source file ", file, ": ", std::strerror(errno));
  else
    text.content = files::read_rest(opened, most_file_bytes);
  if (opened) log::trace("source file: ", file, ": ", text.content.size(), " bytes");
  bytes_ += text.content.size();
  for (std::size_t i = 0; i < text.content.size(); i = text.content.find('\n', i) + 1) {
    text.starts.push_back(static_cast<std::uint32_t>(i));
    if (text.content.find('\n', i) == std::string::npos) break;
  }
  return text;
}

const std::string& SourceLines::text(const std::string& file) {
  static const std::string none;
  return enabled_ ? open(file).content : none;
}

std::optional<std::string> SourceLines::line(const std::string& file, int line) {
  if (!enabled_ || line <= 0) return std::nullopt;
  const Text& text = open(file);
  const auto index = static_cast<std::size_t>(line) - 1;
  if (index >= text.starts.size()) return std::nullopt;
  const std::size_t begin = text.starts[index];
  const std::size_t end = std::min(text.content.find('\n', begin), text.content.size());
  std::string_view found = std::string_view(text.content).substr(begin, end - begin);
  while (!found.empty() && (found.back() == '\r' || found.back() == ' ' || found.back() == '\t'))
    found.remove_suffix(1);
  return utf8::sanitise(utf8::prefix(found, most_line_bytes));
}

}  // namespace vramtrack
