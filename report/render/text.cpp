// The report on a terminal: what the process was, the problems in words, then who holds the memory. Nothing a traced
// program chose (names, paths, arguments) reaches the terminal unescaped.
#include <algorithm>

#include "report/analysis/hook_facts.hpp"
#include "report/findings/explanations.hpp"
#include "report/model/sites.hpp"
#include "report/render/end_words.hpp"
#include "report/render/site_table.hpp"
#include "report/render/text_page.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::render {
namespace {

const char* severity_style(const std::string& severity) {
  return severity == "error" ? style::red : severity == "warning" ? style::yellow : style::green;
}

/// "train.py:27"; of a path that is longer than `columns` only the end.
std::string place_of(const Report& report, const std::string& file, std::optional<int> line, std::size_t columns) {
  const std::string number = line && *line > 0 ? ":" + std::to_string(*line) : "";
  return short_path(utf8::printable(display_path(report, file)), std::max<std::size_t>(16, columns)) + number;
}

/// The text of the finding's own line, if one of the report's frames has it; else its title.
std::string source_of(const Report& report, const Finding& finding) {
  if (finding.file && finding.line) {
    for (const Frame& frame : report.frames) {
      if (frame.line == *finding.line && frame.source && frame.file == *finding.file)
        return utf8::trimmed(*frame.source);
    }
  }
  return finding.title;
}

void write_finding(const TextPage& page, const Finding& finding) {
  const std::string place =
      finding.file ? place_of(page.report, *finding.file, finding.line, page.width / 2 - 6) : std::string();
  const std::string source = utf8::printable(source_of(page.report, finding));
  page.out << "  " << page.styled(severity_style(finding.severity), finding.code);
  if (!place.empty()) page.out << "  " << place;
  const std::size_t used = 2 + finding.code.size() + (place.empty() ? 0 : 2 + utf8::width(place)) + 3;
  // On a narrow terminal the code goes below: cut to a few characters it would say nothing.
  if (!source.empty() && used + utf8::width(source) > page.width && used + 24 > page.width) {
    page.out << "\n    " << cut_code(source, page.width - 4);
  } else if (!source.empty()) {
    page.out << "   " << cut_code(source, page.width - used);
  }
  page.out << '\n';
  page.write_wrapped(finding.message, 4);
  if (!finding.fix.empty()) page.write_wrapped("Fix: " + finding.fix, 4);
  if (const std::string next = findings::read_on(finding); !next.empty())
    page.out << "    " << page.styled(style::dim, next) << '\n';
}

std::string heading_without_problem(const Report& report) {
  return holds_more_and_more(report) ? "No leak identified; what grows or holds most is listed below"
                                     : none_found(report);
}

void write_findings(const TextPage& page) {
  std::vector<const Finding*> problems, remarks;
  for (const Finding& finding : page.report.findings) {
    (finding.severity == "info" ? remarks : problems).push_back(&finding);
  }
  page.out << '\n'
           << page.styled(style::bold,
                          problems.empty() ? heading_without_problem(page.report) : plural(problems.size(), "problem"))
           << '\n';
  for (const Finding* finding : problems) write_finding(page, *finding);
  if (remarks.empty()) return;
  page.out << '\n' << page.styled(style::bold, "Good to know") << '\n';
  for (const Finding* finding : remarks) {
    if (finding->code != "workspace") {
      write_finding(page, *finding);
      continue;
    }
    // It is always there: one line.
    const std::size_t used = 2 + finding->code.size() + 2;
    std::vector<std::string> lines = wrapped(utf8::printable(finding->title), page.width - used);
    page.out << "  " << page.styled(severity_style(finding->severity), finding->code) << "  " << lines.front() << '\n';
    lines.erase(lines.begin());
    page.write_lines(lines, used);
  }
}

void write_oom(const TextPage& page, const OomReport& oom) {
  const std::string what = "Out of memory";
  std::vector<std::string> lines =
      wrapped(what + " at " + human_duration(oom.time) + " on cuda:" + std::to_string(oom.device) + ": asked for " +
                  glued(human_bytes(oom.requested_bytes)) + ", live " + glued(human_bytes(oom.live_bytes)) +
                  ", reserved " + glued(human_bytes(oom.reserved_bytes)),
              page.width);
  lines[0] = page.styled(style::red, what) + lines[0].substr(what.size());
  page.out << '\n';
  page.write_lines(lines, 0);
  std::size_t shown = 0;
  for (const FrameId id : oom.stack) {
    const Frame& frame = page.report.frames[id];
    if (!is_own_frame(frame)) continue;
    const std::string place = place_of(page.report, frame.file, frame.line, page.width / 2);
    const std::string code = utf8::printable(frame.source ? utf8::trimmed(*frame.source) : frame.function);
    const std::size_t used = 4 + utf8::width(place) + 2;
    page.out << "    " << place << "  " << cut_code(code, page.width > used ? page.width - used : 0) << '\n';
    if (++shown == 3) break;
  }
}

/// All, or of many the first ones and the last.
void write_ooms(const TextPage& page) {
  constexpr std::size_t most = 3;
  const std::vector<OomReport>& all = page.report.ooms;
  const std::size_t first = all.size() <= most ? all.size() : most - 1;
  for (std::size_t i = 0; i < first; ++i) write_oom(page, all[i]);
  if (first == all.size()) return;
  page.out << "\n... and " << plural(all.size() - most, "more time") << '\n';
  write_oom(page, all.back());
}

void write_losses(const TextPage& page) {
  const LossReport& losses = page.report.losses;
  std::string line;
  const auto add = [&line](std::uint64_t count, const char* what) {
    if (count > 0) line += (line.empty() ? "" : ", ") + plural(count, what);
  };
  add(losses.dropped_events, "event");
  if (!line.empty()) line += " not recorded";
  add(losses.torn_records, "torn record");
  if (!line.empty() || !losses.notes.empty()) page.out << '\n';
  if (!line.empty()) page.out << page.styled(style::yellow, "Not complete: ") << line << '\n';
  for (const std::string& note : losses.notes) page.write_wrapped("note: " + note, 0);
}

void write_audit(const TextPage& page) {
  const std::optional<Audit>& audit = page.report.audit;
  if (!audit || page.report.at != "exit") return;
  const bool clean = audit->complete && !audit->unavailable && audit->missed == 0;
  std::vector<std::string> lines = wrapped(utf8::printable(audit_line(*audit)), page.width);
  for (std::string& line : lines) line = page.styled(clean ? style::green : style::yellow, line);
  page.out << '\n';
  page.write_lines(lines, 0);
}

/// Whole, however long: they are to be copied.
void write_footer(const TextPage& page) {
  if (page.options.report_path.empty()) return;
  const std::string path = utf8::printable(page.options.report_path);
  page.out << "\nfull report  " << path;
  const std::string_view ending = ".json";
  if (page.report.at == "exit" && !page.report.ooms.empty() && path.ends_with(ending)) {
    const std::uint32_t told = told_oom(page.report);
    page.out << "\nat that time " << path.substr(0, path.size() - ending.size()) << ".oom-"
             << (told != 0 ? told : page.report.ooms.front().n) << ending;
  }
  page.out << "\npage         vramtrack report --format html " << path << " -o page.html\n";
}

}  // namespace

void text(const Report& report, std::ostream& out, const TextOptions& options) {
  const TextPage page{report, out, options, static_cast<std::size_t>(std::max(options.width, 40))};
  write_header(page);
  write_findings(page);
  write_ooms(page);
  write_holders(page);
  write_breakdown(page);
  write_advice(page);
  write_fragmentation(page);
  write_table(page);
  write_named(page);
  write_losses(page);
  write_audit(page);
  write_footer(page);
}

}  // namespace vramtrack::render
