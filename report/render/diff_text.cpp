// `vramtrack diff` on a terminal: the sums, then the call sites that changed, the largest change first.
#include <ostream>

#include "report/analysis/call_paths.hpp"
#include "report/compare/diff.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::render {
namespace {

constexpr const char* plain = "\x1b[0m";

const char* colour_of(Change change) {
  switch (change) {
    case Change::appeared:
    case Change::grew:
      return "\x1b[31m";
    case Change::shrank:
    case Change::went:
      return "\x1b[32m";
    case Change::same:
      return "";
  }
  return "";
}

std::string pad_left(const std::string& text, std::size_t columns) {
  return text.size() < columns ? std::string(columns - text.size(), ' ') + text : text;
}

std::string title(const Report& report) {
  std::string words = utf8::joined(report.process.command);
  if (words.empty()) words = report.process.executable;
  words = utf8::shorten_middle(utf8::printable(words), 60) + "   pid " + std::to_string(report.process.pid);
  if (report.process.rank) words += "   rank " + std::to_string(*report.process.rank);
  return words + "   at " + report.at;
}

/// "model.py:31  Block.forward", in at most `columns`: a path is cut in its middle, the line never.
std::string place(const Report& report, const SiteReport& site, std::size_t columns) {
  const std::optional<FrameId> own = own_frame(report, site);
  if (!own) return "(stack unknown)";
  const Frame& frame = report.frames[*own];
  // Code outside of functions has no name; its text says more than "<module>".
  const bool nameless = frame.function == "<module>" && frame.source;
  const std::string function = utf8::printable(nameless                 ? utf8::trimmed(*frame.source)
                                               : frame.function.empty() ? "??"
                                                                        : frame.function);
  if (frame.file.empty()) return utf8::shorten_middle(function + "  " + std::string(file_name(frame.module)), columns);
  const std::string line = frame.line > 0 ? ":" + std::to_string(frame.line) : "";
  const std::string tail = line + "  " + utf8::shorten_middle(function, columns / 2);
  const std::size_t room = columns > utf8::width(tail) ? columns - utf8::width(tail) : 12;
  return utf8::shorten_middle(utf8::printable(frame.file), std::max<std::size_t>(room, 12)) + tail;
}

void write_totals(const Diff& diff, std::ostream& out) {
  for (const TotalChange& total : diff.totals) {
    out << "  " << compartment_title({total.layer, total.device}) << ": " << human_bytes(total.a_bytes) << " -> "
        << human_bytes(total.b_bytes) << "  (" << signed_bytes(static_cast<double>(total.delta())) << ")\n";
  }
  if (diff.totals.empty()) out << "  no allocations in either\n";
}

/// "2 appeared (+1.2 GiB), 1 shrank (-3.0 MiB), 14 unchanged", the cuda layer left out where it holds the tensors.
void write_summary(const Diff& diff, std::ostream& out) {
  bool first = true;
  for (const Change change : {Change::appeared, Change::grew, Change::shrank, Change::went, Change::same}) {
    std::size_t sites = 0;
    for (const SiteChange& site : diff.sites) sites += site.change == change;
    if (sites == 0) continue;
    out << (first ? "  call sites: " : ", ") << sites << ' ' << to_string(change);
    first = false;
  }
  if (!first) out << '\n';
}

}  // namespace

void diff_text(const Diff& diff, std::ostream& out, const DiffTextOptions& options) {
  out << "A  " << title(*diff.a) << "\nB  " << title(*diff.b) << '\n';
  write_totals(diff, out);
  write_summary(diff, out);
  std::size_t shown = 0, changed = 0;
  for (const SiteChange& change : diff.sites) {
    if (change.change == Change::same) continue;
    if (++changed > options.top) continue;
    if (shown++ == 0)
      out << "\n     change           A           B  what      layer   site (" << to_string(diff.by) << ")\n";
    const SiteReport& site = change.site();
    std::string head = pad_left(signed_bytes(static_cast<double>(change.delta())), 11) + ' ' +
                       pad_left(human_bytes(change.a_bytes), 11) + ' ' + pad_left(human_bytes(change.b_bytes), 11) +
                       "  ";
    std::string what = to_string(change.change);
    what.resize(9, ' ');
    std::string layer = site.layer;
    layer.resize(8, ' ');
    const std::size_t used = head.size() + what.size() + 1 + layer.size();
    const std::size_t width = static_cast<std::size_t>(std::max(options.width, 60));
    out << head << (options.colour ? colour_of(change.change) : "") << what << (options.colour ? plain : "") << ' '
        << layer << place(diff.frames_of(change), site, width > used + 20 ? width - used : 20) << '\n';
  }
  if (changed > shown) out << "  ... " << changed - shown << " more; --top N shows them\n";
  if (changed == 0) out << "\n  no call site changed\n";
}

}  // namespace vramtrack::render
