// Folded stacks, one line per distinct stack: outermost;...;innermost bytes. What flamegraph.pl, inferno and speedscope
// read. Both layers describe the same memory, so only the more telling one of each device is drawn (see main_layer).
#include <algorithm>
#include <ostream>
#include <unordered_map>

#include "report/model/sites.hpp"
#include "report/render/render.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::render {
namespace {

/// The format's own separators cannot be escaped: they are replaced.
std::string folded_name(const Frame& frame) {
  std::string name = utf8::printable(frame_label(frame));
  for (char& c : name)
    if (c == ';') c = ':';
  return name;
}

}  // namespace

void folded(const Report& report, std::ostream& out) {
  std::vector<std::string> names;
  names.reserve(report.frames.size());
  for (const Frame& frame : report.frames) names.push_back(folded_name(frame));

  std::vector<std::pair<std::string, Bytes>> lines;  // in the order of the sites: largest first
  std::unordered_map<std::string, std::size_t> known;
  for (const SiteReport& site : report.sites) {
    if (site.live_bytes == 0 || !is_main_layer(report, site)) continue;
    std::string line;
    for (auto frame = site.stack.rbegin(); frame != site.stack.rend(); ++frame) {
      if (!line.empty()) line += ';';
      line += names[*frame];
    }
    if (line.empty()) line = "(no stack)";
    const auto [at, added] = known.try_emplace(line, lines.size());
    if (added) lines.emplace_back(std::move(line), 0);
    lines[at->second].second += site.live_bytes;
  }
  for (const auto& [line, bytes] : lines) out << line << ' ' << bytes << '\n';
}

}  // namespace vramtrack::render
