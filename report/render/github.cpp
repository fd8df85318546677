// GitHub Actions: workflow commands, and the Markdown of the job summary.
#include <algorithm>
#include <filesystem>
#include <ostream>

#include "report/model/sites.hpp"
#include "report/render/ci.hpp"
#include "report/render/end_words.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::render {
namespace {

/// A workflow command ends at the line's end; a property also at ':' and ','.
std::string escaped(std::string_view text, bool property) {
  std::string result;
  for (const char c : utf8::printable_lines(text)) {
    if (c == '%')
      result += "%25";
    else if (c == '\n')
      result += "%0A";
    else if (c == '\r')
      result += "%0D";
    else if (property && c == ':')
      result += "%3A";
    else if (property && c == ',')
      result += "%2C";
    else
      result += c;
  }
  return result;
}

/// Text for a table cell: nothing in it is markup.
std::string cell(std::string_view text) {
  std::string result;
  for (const char c : utf8::printable(text)) {
    if (c == '\n')
      result += ' ';
    else if (c == '<')
      result += "&lt;";
    else if (c == '&')
      result += "&amp;";
    else if (std::string_view("|\\`*_[]~#").find(c) != std::string_view::npos)
      (result += '\\') += c;
    else
      result += c;
  }
  return result;
}

}  // namespace

std::string below_root(const Report& report, const std::string& file, const std::string& root) {
  namespace fs = std::filesystem;
  if (root.empty() || file.empty()) return file;
  fs::path path = file;
  if (path.is_relative() && !report.process.cwd.empty()) path = fs::path(report.process.cwd) / path;
  const fs::path relative = path.lexically_normal().lexically_relative(fs::path(root).lexically_normal());
  return relative.empty() || *relative.begin() == ".." ? file : relative.generic_string();
}

void github_annotations(const Report& report, const std::string& root, std::ostream& out) {
  for (const Finding& finding : report.findings) {
    out << "::" << (finding.severity == "info" ? "notice" : finding.severity) << ' ';
    if (finding.file && !finding.file->empty()) {
      out << "file=" << escaped(below_root(report, *finding.file, root), true) << ',';
      if (finding.line && *finding.line > 0) out << "line=" << *finding.line << ',';
    }
    out << "title=" << escaped("vramtrack: " + finding.code, true) << "::" << escaped(finding.message, false);
    if (!finding.fix.empty()) out << "%0AFix: " << escaped(finding.fix, false);
    out << '\n';
  }
}

void markdown(const Report& report, const std::string& root, std::ostream& out) {
  const std::string command = utf8::joined(report.process.command);
  out << "### GPU memory: " << cell(command.empty() ? report.process.executable : command) << "\n\n";
  out << "| device | layer | live | blocks | peak |\n|---|---|---:|---:|---:|\n";
  for (const Total& total : report.totals) {
    if (!is_whole(report, total)) continue;
    out << "| cuda:" << total.device << " | " << cell(total.layer) << " | " << human_bytes(total.live_bytes) << " | "
        << total.live_count << " | " << human_bytes(total.peak_bytes) << " |\n";
  }
  out << '\n';
  const auto serious = std::count_if(report.findings.begin(), report.findings.end(),
                                     [](const Finding& finding) { return finding.severity != "info"; });
  if (serious == 0) out << none_found(report) << ".\n\n";
  for (const Finding& finding : report.findings) {
    if (finding.severity == "info") continue;
    out << "- **" << cell(finding.code) << "** ";
    if (finding.file) {
      out << cell(below_root(report, *finding.file, root));
      if (finding.line) out << ':' << *finding.line;
    }
    out << "<br>" << cell(finding.message);
    if (!finding.fix.empty()) out << "<br>Fix: " << cell(finding.fix);
    out << '\n';
  }
  if (serious != 0) out << '\n';
  out << "| alive at " << cell(report.at) << " | blocks | verdict | call site |\n|---:|---:|---|---|\n";
  std::size_t rows = 0;
  for (const SiteReport& site : report.sites) {
    if (site.live_bytes == 0 || !is_main_layer(report, site)) continue;
    if (++rows > 10) break;
    const auto own = own_frame(report, site);
    const Frame* const frame = own ? &report.frames[*own] : nullptr;
    out << "| " << human_bytes(site.live_bytes) << " | " << site.live_count << " | " << cell(site.verdict) << " | ";
    if (frame == nullptr)
      out << '?';
    else if (frame->file.empty())
      out << cell(frame_label(*frame));
    else
      out << cell(below_root(report, frame->file, root)) << ':' << frame->line << ' '
          << cell(frame->source.value_or(""));
    out << " |\n";
  }
  out << '\n';
}

}  // namespace vramtrack::render
