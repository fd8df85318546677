// The table of call sites (or groups of them). Numbers are never cut; what does not fit is a path (at its beginning),
// then code and notes (at their ends).
#include <algorithm>

#include "report/render/end_words.hpp"
#include "report/render/site_table.hpp"
#include "report/render/text_page.hpp"
#include "report/support/units.hpp"

namespace vramtrack::render {
namespace {

struct Columns {
  bool peak = false;
  std::size_t count = 6, verdict = 7;
  std::size_t where = 0;  // file and line, or the group's name
  std::size_t room = 0;   // for where and what follows it
};

std::string whole_place(const TableRow& row) { return utf8::printable(row.path) + utf8::printable(row.place); }

/// The end of a path with its line number stays; a name of its own is cut in its middle.
std::string place(const TableRow& row, std::size_t columns) {
  const std::string path = utf8::printable(row.path), line = utf8::printable(row.place);
  if (path.empty()) return utf8::shorten_middle(line, columns);
  const std::size_t width = utf8::width(line);
  return short_path(path, columns > width + 8 ? columns - width : 8) + line;
}

Columns measure(const TextPage& page, const std::vector<TableRow>& rows, std::size_t shown, bool sites) {
  Columns columns;
  columns.peak = page.options.sort == "peak";
  std::size_t widest = 0;
  for (std::size_t i = 0; i < shown; ++i) {
    columns.count = std::max(columns.count, human_count(rows[i].count).size());
    columns.verdict = std::max(columns.verdict, rows[i].verdict.size());
    widest = std::max(widest, utf8::width(whole_place(rows[i])));
  }
  const std::size_t used = 10 + (columns.peak ? 12 : 0) + 2 + columns.count + 2 + columns.verdict + 2;
  columns.room = std::max<std::size_t>(page.width > used ? page.width - used : 0, 18);
  columns.where = std::min(widest, sites ? std::max<std::size_t>(18, columns.room * 9 / 20) : columns.room);
  widest = 0;
  for (std::size_t i = 0; i < shown; ++i) widest = std::max(widest, utf8::width(place(rows[i], columns.where)));
  columns.where = std::min(columns.where, widest);
  return columns;
}

void write_row(const TextPage& page, const TableRow& row, const Columns& columns) {
  const char* verdict_style = row.verdict == "growing" ? style::red
                              : row.verdict == "cache" ? style::dim
                                                       : style::plain;
  page.out << pad_left(table_bytes(row.bytes), 10) << (columns.peak ? pad_left(table_bytes(row.peak), 12) : "") << "  "
           << pad_left(human_count(row.count), columns.count) << "  "
           << page.styled(verdict_style, pad_right(row.verdict, columns.verdict)) << "  ";
  const std::string code = utf8::printable(row.code), note = utf8::printable(row.note);
  std::string where = place(row, columns.where);
  if (!code.empty() || !note.empty()) where = pad_right(where, columns.where);
  page.out << where;
  std::size_t room = columns.room - std::min(columns.room, utf8::width(where));
  const auto append = [&](const std::string& text, bool dim) {
    if (text.empty() || utf8::width(text) + 2 > room) return;
    page.out << "  " << (dim ? page.styled(style::dim, text) : text);
    room -= utf8::width(text) + 2;
  };
  if (room > 2 && !code.empty()) {
    // Where both do not fit, the code has the larger part: it is what the reader recognises. A note of a few letters
    // says nothing: the code has all then.
    constexpr std::size_t least_note = 16;
    const std::size_t both = room - 2, wanted = note.empty() ? 0 : utf8::width(note) + 2;
    std::size_t share = both > wanted ? std::max(both - wanted, both * 3 / 5) : both * 3 / 5;
    if (both - share < std::min(wanted, least_note)) share = both;
    append(cut_code(code, share), false);
  }
  if (room > 9) append(cut_end(note, room - 2), true);
  page.out << '\n';
}

}  // namespace

void write_table(const TextPage& page) {
  const TextOptions& options = page.options;
  const bool sites = options.group_by.empty() || options.group_by == "site";
  const std::string group = sites ? "call site" : options.group_by;
  const std::vector<TableRow> rows = table_rows(page.report, options);
  page.out << '\n' << page.styled(style::bold, "Alive " + moment_words(page.report) + ", by " + group);
  if (!options.filter.empty()) page.out << ", only \"" << utf8::printable(options.filter) << '"';
  page.out << '\n';
  if (rows.empty()) {
    page.out << "  nothing\n";
    return;
  }
  const std::size_t shown = std::min(rows.size(), options.top);
  const Columns columns = measure(page, rows, shown, sites);
  page.out << page.styled(style::dim, pad_left("bytes", 10) + (columns.peak ? pad_left("at most", 12) : "") + "  " +
                                          pad_left("blocks", columns.count) + "  " +
                                          pad_right("verdict", columns.verdict) + "  " + group)
           << '\n';
  for (std::size_t i = 0; i < shown; ++i) write_row(page, rows[i], columns);
  if (shown == rows.size()) return;
  Bytes rest = 0;
  for (std::size_t i = shown; i < rows.size(); ++i) rest += rows[i].bytes;
  page.out << pad_left(table_bytes(rest), 10) << "  in " << human_count(rows.size() - shown) << " more (--top "
           << rows.size() << " shows all)\n";
}

}  // namespace vramtrack::render
