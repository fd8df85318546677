// The page of `vramtrack fit`: the curve over the value, and the tables. One file, nothing is fetched.
#include <algorithm>
#include <cmath>
#include <ostream>

#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/fit/outcome.hpp"

namespace vramtrack::tools::fit {
namespace {

constexpr const char* style = R"(
:root { color-scheme: light dark; --line: #888; --live: #2f6fb3; --used: #c2571a; --room: #777; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font: 13px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: currentColor; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; }
td, th { padding: .15rem .8rem .15rem 0; text-align: right; border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
td:first-child, th:first-child { text-align: left; }
)";

std::string escaped(const std::string& raw) {
  std::string out;
  for (const char c : utf8::printable(utf8::sanitise(raw))) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string amount(double bytes) {
  const std::string text = human_bytes(static_cast<Bytes>(std::llround(std::abs(bytes))));
  return bytes < -0.5 ? "-" + text : text;
}

/// Everything that was run and fits, by value.
std::map<Value, const Trial*> points_of(const Outcome& outcome) {
  std::map<Value, const Trial*> points;
  for (const auto& [value, trial] : outcome.measured) points[value] = &trial;
  for (const GpuOutcome& gpu : outcome.gpus)
    if (gpu.fits && gpu.value && gpu.figures) points.try_emplace(*gpu.value, &*gpu.figures);
  return points;
}

class Plot {
 public:
  Plot(const Outcome& outcome, std::ostream& out) : outcome_(outcome), out_(out), points_(points_of(outcome)) {
    for (const auto& [value, trial] : points_) {
      last_ = std::max(last_, static_cast<double>(value));
      top_ = std::max(top_, static_cast<double>(trial->used_bytes));
    }
    for (const GpuOutcome& gpu : outcome.gpus) {
      top_ = std::max(top_, static_cast<double>(gpu.gpu.room()));
      if (gpu.smallest_failing) last_ = std::max(last_, static_cast<double>(*gpu.smallest_failing));
    }
    last_ = std::max(last_ * 1.05, 1.0);
    top_ *= 1.08;
  }

  void draw() {
    out_ << "<svg viewBox=\"0 0 900 420\" role=\"img\" aria-label=\"memory over the value\">\n";
    axis();
    for (const GpuOutcome& gpu : outcome_.gpus) room(gpu);
    curve(&Trial::used_bytes, "var(--used)");
    curve(&Trial::peak_live_bytes, "var(--live)");
    out_ << "<text x=\"90\" y=\"16\" style=\"fill:var(--used)\">taken from the device at the peak</text>"
            "<text x=\"330\" y=\"16\" style=\"fill:var(--live)\">live at the peak</text>"
            "<text x=\"470\" y=\"16\" style=\"fill:var(--room)\">room on each GPU, after the context</text>\n</svg>\n";
  }

 private:
  double x(double value) const { return 90 + 780 * value / last_; }
  double y(double bytes) const { return 380 - 350 * bytes / top_; }

  void line(double x1, double y1, double x2, double y2, const char* colour, const char* more = "") {
    out_ << "<line x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2 << "\" stroke=\"" << colour
         << "\" " << more << "/>";
  }

  void axis() {
    line(90, 380, 870, 380, "var(--line)");
    line(90, 30, 90, 380, "var(--line)");
    for (int i = 0; i <= 4; ++i) {
      const double bytes = top_ * i / 4, value = last_ * i / 4;
      out_ << "<text x=\"82\" y=\"" << y(bytes) + 4 << "\" text-anchor=\"end\">" << amount(bytes) << "</text>"
           << "<text x=\"" << x(value) << "\" y=\"398\" text-anchor=\"middle\">" << std::llround(value) << "</text>\n";
    }
    out_ << "<text x=\"480\" y=\"416\" text-anchor=\"middle\">" << escaped(outcome_.vary.label()) << "</text>\n";
  }

  void room(const GpuOutcome& gpu) {
    const auto height = y(static_cast<double>(gpu.gpu.room()));
    line(90, height, 870, height, "var(--room)", "stroke-dasharray=\"6 4\"");
    out_ << "<text x=\"866\" y=\"" << height - 5 << "\" text-anchor=\"end\">" << escaped(gpu.gpu.asked) << "</text>\n";
    if (gpu.largest)
      line(x(static_cast<double>(*gpu.largest)), height, x(static_cast<double>(*gpu.largest)), 380, "var(--room)",
           "stroke-dasharray=\"2 3\"");
  }

  void curve(Bytes Trial::*figure, const char* colour) {
    out_ << "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" << colour << "\" points=\"";
    for (const auto& [value, trial] : points_)
      out_ << x(static_cast<double>(value)) << ',' << y(static_cast<double>(trial->*figure)) << ' ';
    out_ << "\"/>\n";
    for (const auto& [value, trial] : points_)
      out_ << "<circle r=\"3.5\" fill=\"" << colour << "\" cx=\"" << x(static_cast<double>(value)) << "\" cy=\""
           << y(static_cast<double>(trial->*figure)) << "\"><title>" << value << ": " << human_bytes(trial->*figure)
           << "</title></circle>\n";
  }

  const Outcome& outcome_;
  std::ostream& out_;
  std::map<Value, const Trial*> points_;
  double last_ = 0, top_ = 0;
};

void table_of(const GpuOutcome& gpu, const Outcome& outcome, std::ostream& out) {
  const bool varies = outcome.vary.way != Vary::Way::none;
  const std::string label = escaped(outcome.vary.label());
  out << "<h2>" << escaped(gpu.gpu.title.empty() ? gpu.gpu.asked : gpu.gpu.title) << ", "
      << human_bytes(gpu.gpu.total_bytes) << "</h2>\n<p>";
  if (!varies)
    out << (gpu.fits ? "It fits." : "It does not fit.");
  else if (!gpu.largest)
    out << "Not even " << label << " = " << outcome.vary.low << " fits, the smallest value given.";
  else if (gpu.smallest_failing)
    out << label << " = <b>" << *gpu.largest << "</b> fits, " << *gpu.smallest_failing << " does not.";
  else
    out << label << " = <b>" << *gpu.largest << "</b> fits, the largest value given.";
  if (gpu.figures) {
    const std::int64_t margin = gpu.margin();
    out << " Peak live " << human_bytes(gpu.figures->peak_live_bytes) << ", reserved "
        << human_bytes(gpu.figures->peak_reserved_bytes) << ", context " << human_bytes(gpu.gpu.context_bytes) << ": "
        << amount(std::abs(static_cast<double>(margin))) << (margin < 0 ? " too much." : " to spare.");
  }
  out << "</p>\n";
  if (gpu.parts.empty()) return;
  out << "<table><tr><th>of the peak</th><th>bytes</th><th>blocks</th>";
  if (varies) out << "<th>constant</th><th>for each " << label << "</th>";
  out << "</tr>\n";
  for (const Part& part : gpu.parts) {
    std::string role = part.role;
    std::replace(role.begin(), role.end(), '_', ' ');
    out << "<tr><td>" << escaped(role) << "</td><td>" << human_bytes(part.bytes) << "</td><td>" << part.blocks
        << "</td>";
    if (varies && part.law)
      out << "<td>" << amount(part.law->constant) << "</td><td>" << amount(part.law->slope) << "</td>";
    out << "</tr>\n";
  }
  out << "</table>\n";
}

}  // namespace

void html(const Outcome& outcome, std::ostream& out) {
  out << "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>vramtrack fit</title>\n"
         "<meta name=\"viewport\" content=\"width=device-width\">\n<style>"
      << style << "</style></head><body>\n<h1>What fits</h1>\n<p><code>" << escaped(utf8::joined(outcome.command))
      << "</code><br>" << outcome.runs << " runs on the simulated GPU, each ended after " << outcome.steps
      << " steps.</p>\n";
  if (outcome.vary.way != Vary::Way::none) Plot(outcome, out).draw();
  for (const GpuOutcome& gpu : outcome.gpus) table_of(gpu, outcome, out);
  for (const std::string& note : outcome.notes) out << "<p>" << escaped(note) << "</p>\n";
  out << "</body></html>\n";
}

}  // namespace vramtrack::tools::fit
