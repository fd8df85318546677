// The report on a terminal: what the process was, the problems in words, then who holds the memory. Numbers are never
// cut; what does not fit is a path (in its middle) or a note (at its end). Nothing a traced program chose (names,
// paths, arguments) reaches the terminal unescaped.
#include <algorithm>
#include <array>
#include <ostream>

#include "report/hook_facts.hpp"
#include "report/render/render.hpp"
#include "report/render/site_table.hpp"
#include "report/sites.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::render {
namespace {

constexpr const char* bold = "\x1b[1m";
constexpr const char* dim = "\x1b[2m";
constexpr const char* red = "\x1b[1;31m";
constexpr const char* yellow = "\x1b[33m";
constexpr const char* green = "\x1b[32m";
constexpr const char* plain = "\x1b[0m";

class TextReport {
 public:
  TextReport(const Report& report, std::ostream& out, const TextOptions& options)
      : report_(report), out_(out), options_(options), width_(static_cast<std::size_t>(std::max(options.width, 40))) {}

  void write() {
    write_header();
    write_findings();
    write_ooms();
    write_table();
    write_losses();
    write_audit();
    write_footer();
  }

 private:
  std::string styled(const char* style, const std::string& text) const {
    return options_.colour ? style + text + plain : text;
  }

  static std::string pad_left(const std::string& text, std::size_t columns) {
    const std::size_t width = utf8::width(text);
    return width >= columns ? text : std::string(columns - width, ' ') + text;
  }
  static std::string pad_right(const std::string& text, std::size_t columns) {
    const std::size_t width = utf8::width(text);
    return width >= columns ? text : text + std::string(columns - width, ' ');
  }
  static std::string cut_end(const std::string& text, std::size_t columns) {
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

  /// `text` in lines of at most the terminal's width, each after `indent` spaces.
  void write_wrapped(const std::string& text, std::size_t indent) {
    const std::string clean = utf8::printable(text);
    const std::size_t room = width_ - indent;
    std::string line;
    const auto flush = [&] {
      if (!line.empty()) out_ << std::string(indent, ' ') << line << '\n';
      line.clear();
    };
    for (std::size_t i = 0; i < clean.size();) {
      const std::size_t end = std::min(clean.find(' ', i), clean.size());
      const std::string word = clean.substr(i, end - i);
      i = end + 1;
      if (word.empty()) continue;
      if (!line.empty() && utf8::width(line) + 1 + utf8::width(word) > room) flush();
      line += (line.empty() ? "" : " ") + word;
    }
    flush();
  }

  std::string end_words() const {
    const ProcessEnd& end = report_.process.end;
    const std::string code = end.code ? " " + std::to_string(*end.code) : "";
    if (report_.at == "oom") return "out of memory";
    if (end.kind == "exit") return "exit" + code;
    if (end.kind == "signal") return "signal" + code;
    if (end.kind == "killed") return "killed" + (end.code ? " by signal" + code : "");
    if (end.kind == "running") return "still running";
    return "end not seen";
  }

  void write_header() {
    const Process& process = report_.process;
    std::string command;
    for (const std::string& argument : process.command) command += (command.empty() ? "" : " ") + argument;
    if (command.empty()) command = process.executable;
    std::string facts = "   pid " + std::to_string(process.pid);
    if (process.rank) facts += "   rank " + std::to_string(*process.rank);
    if (process.forked_from) facts += "   forked from " + std::to_string(*process.forked_from);
    facts += "   " + human_duration(process.duration) + "   " + end_words();
    if (report_.environment.simulated) facts += "   simulated GPU";
    const std::size_t taken = std::string_view("vramtrack  ").size() + facts.size();
    const std::size_t room = std::max<std::size_t>(24, width_ > taken ? width_ - taken : 0);
    out_ << styled(bold, "vramtrack") << "  " << utf8::shorten_middle(utf8::printable(command), room) << facts << '\n';
    for (const int device : devices()) write_device(device);
  }

  std::vector<int> devices() const {
    std::vector<int> found;
    for (const Total& total : report_.totals) {
      if (total.kind == "all" || total.allocated_count == 0) continue;
      if (std::find(found.begin(), found.end(), total.device) == found.end()) found.push_back(total.device);
    }
    std::sort(found.begin(), found.end(), [](int a, int b) { return (a < 0) != (b < 0) ? b < 0 : a < b; });
    return found;
  }

  const LedgerEntry* ledger_of(int device) const {
    const auto found = std::find_if(report_.ledger.begin(), report_.ledger.end(),
                                    [&](const LedgerEntry& entry) { return entry.device == device; });
    return found == report_.ledger.end() ? nullptr : &*found;
  }

  void write_device(int device) {
    Total tensor, cuda;
    for (const Total& total : report_.totals) {
      if (total.device != device) continue;
      Total& sum = total.layer == "tensor" ? tensor : cuda;
      sum.live_bytes += total.live_bytes;
      sum.live_count += total.live_count;
      sum.allocated_count += total.allocated_count;
      // The peaks of several kinds need not be at one moment: the largest is what can be said.
      if (total.peak_bytes >= sum.peak_bytes) {
        sum.peak_bytes = total.peak_bytes;
        sum.peak_at_step = total.peak_at_step;
        sum.peak_at_time = total.peak_at_time;
      }
    }
    const bool tensors = tensor.allocated_count > 0;
    const Total& shown = tensors ? tensor : cuda;
    std::string name = device < 0 ? "host memory" : "cuda:" + std::to_string(device);
    for (const Device& known : report_.environment.devices) {
      if (known.index == device && !known.name.empty()) name += " " + utf8::printable(known.name);
    }
    const LedgerEntry* ledger = ledger_of(device);
    std::string line = "  " + name + "    live " + human_bytes(shown.live_bytes) + " in " +
                       plural(shown.live_count, tensors ? "block" : "allocation") + "    peak " +
                       human_bytes(shown.peak_bytes);
    line += report_.steps > 0 ? " at step " + std::to_string(shown.peak_at_step)
                              : " at " + human_duration(shown.peak_at_time);
    if (tensors && ledger != nullptr) {
      line += "    reserved " + human_bytes(ledger->tensors_live_bytes + ledger->cached_bytes);
    }
    out_ << line << '\n';
    write_ledger(ledger);
  }

  /// What the device's memory is used for besides tensors; only what is there.
  void write_ledger(const LedgerEntry* ledger) {
    if (ledger == nullptr) return;
    std::string line;
    const auto add = [&line](const std::string& text) { line += (line.empty() ? "    " : ", ") + text; };
    if (ledger->cached_bytes > 0) {
      add("cached by PyTorch " + human_bytes(ledger->cached_bytes) + " (largest free piece " +
          human_bytes(ledger->largest_free_cached_block_bytes) + ")");
    }
    for (const Owner& owner : ledger->owners) {
      if (owner.owner != "torch" && owner.bytes > 0) add(utf8::printable(owner.owner) + " " + human_bytes(owner.bytes));
    }
    if (ledger->context_and_other_bytes && *ledger->context_and_other_bytes > 0) {
      add("context and other " + human_bytes(*ledger->context_and_other_bytes));
    }
    if (ledger->driver_used_bytes) {
      add("driver says used " + human_bytes(*ledger->driver_used_bytes) + " of " + human_bytes(ledger->total_bytes));
    }
    if (!line.empty()) write_wrapped(line.substr(4), 4);
  }

  const char* severity_style(const std::string& severity) const {
    return severity == "error" ? red : severity == "warning" ? yellow : green;
  }

  void write_findings() {
    std::vector<const Finding*> problems, remarks;
    for (const Finding& finding : report_.findings) {
      (finding.severity == "info" ? remarks : problems).push_back(&finding);
    }
    out_ << '\n' << styled(bold, problems.empty() ? "No problem found" : plural(problems.size(), "problem")) << '\n';
    for (const Finding* finding : problems) write_finding(*finding);
    if (!remarks.empty()) {
      out_ << '\n' << styled(bold, "Good to know") << '\n';
      for (const Finding* finding : remarks) write_finding(*finding);
    }
  }

  void write_finding(const Finding& finding) {
    std::string place;
    if (finding.file) {
      place = utf8::printable(display_path(report_, *finding.file));
      const std::string line = finding.line ? ":" + std::to_string(*finding.line) : "";
      place = utf8::shorten_middle(place, std::max<std::size_t>(16, width_ / 2)) + line;
    }
    const std::string source = utf8::printable(source_of(finding));
    out_ << "  " << styled(severity_style(finding.severity), finding.code);
    if (!place.empty()) out_ << "  " << place;
    const std::size_t used = 2 + finding.code.size() + 2 + utf8::width(place) + 3;
    if (!source.empty() && used + 12 < width_) out_ << "   " << cut_end(source, width_ - used);
    out_ << '\n';
    write_wrapped(finding.message, 4);
    if (!finding.fix.empty()) write_wrapped("Fix: " + finding.fix, 4);
    if (!finding.docs.empty()) out_ << "    " << styled(dim, utf8::printable(finding.docs)) << '\n';
  }

  /// The text of the finding's own line, if one of the report's frames has it; else its title.
  std::string source_of(const Finding& finding) const {
    if (finding.file && finding.line) {
      for (const Frame& frame : report_.frames) {
        if (frame.line == *finding.line && frame.source && frame.file == *finding.file) return trimmed(*frame.source);
      }
    }
    return finding.title;
  }

  static std::string trimmed(const std::string& text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string::npos) return "";
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
  }

  void write_ooms() {
    for (const OomReport& oom : report_.ooms) {
      out_ << '\n'
           << styled(red, "Out of memory") << " at " << human_duration(oom.time) << " on cuda:" << oom.device
           << ": asked for " << human_bytes(oom.requested_bytes) << ", live " << human_bytes(oom.live_bytes)
           << ", reserved " << human_bytes(oom.reserved_bytes) << '\n';
      std::size_t shown = 0;
      for (const FrameId id : oom.stack) {
        const Frame& frame = report_.frames[id];
        if (frame.kind != "python" || is_library_file(frame.file)) continue;
        const std::string line = ":" + std::to_string(frame.line);
        out_ << "    " << utf8::shorten_middle(utf8::printable(display_path(report_, frame.file)), width_ / 2) << line
             << "  " << cut_end(utf8::printable(frame.source ? trimmed(*frame.source) : frame.function), width_ / 3)
             << '\n';
        if (++shown == 3) break;
      }
    }
  }

  std::string moment() const {
    if (report_.at == "peak") return "Alive at the peak";
    if (report_.at == "oom") return "Alive when memory ran out";
    if (report_.at == "live") return "Alive now";
    return "Alive at exit";
  }

  void write_table() {
    const std::string group =
        options_.group_by.empty() || options_.group_by == "site" ? "call site" : options_.group_by;
    const std::vector<TableRow> rows = table_rows(report_, options_);
    out_ << '\n' << styled(bold, moment() + ", by " + group);
    if (!options_.filter.empty()) out_ << ", only \"" << utf8::printable(options_.filter) << '"';
    out_ << '\n';
    if (rows.empty()) {
      out_ << "  nothing\n";
      return;
    }
    const std::size_t shown = std::min(rows.size(), options_.top);
    const bool with_peak = options_.sort == "peak";
    std::size_t count_width = 6, verdict_width = 7;
    for (std::size_t i = 0; i < shown; ++i) {
      count_width = std::max(count_width, human_count(rows[i].count).size());
      verdict_width = std::max(verdict_width, rows[i].verdict.size());
    }
    out_ << styled(dim, pad_left("bytes", 10) + (with_peak ? pad_left("at most", 12) : "") + "  " +
                            pad_left("blocks", count_width) + "  " + pad_right("verdict", verdict_width) + "  " + group)
         << '\n';
    for (std::size_t i = 0; i < shown; ++i) write_row(rows[i], with_peak, count_width, verdict_width);
    if (shown < rows.size()) {
      Bytes rest = 0;
      for (std::size_t i = shown; i < rows.size(); ++i) rest += rows[i].bytes;
      out_ << pad_left(table_bytes(rest), 10) << "  in " << human_count(rows.size() - shown) << " more (--top "
           << rows.size() << " shows all)\n";
    }
  }

  void write_row(const TableRow& row, bool with_peak, std::size_t count_width, std::size_t verdict_width) {
    const std::string numbers = pad_left(table_bytes(row.bytes), 10) +
                                (with_peak ? pad_left(table_bytes(row.peak), 12) : "") + "  " +
                                pad_left(human_count(row.count), count_width) + "  ";
    const char* style = row.verdict == "growing" ? red : row.verdict == "cache" ? dim : plain;
    out_ << numbers << styled(style, pad_right(row.verdict, verdict_width)) << "  ";
    const std::size_t used = numbers.size() + verdict_width + 2;
    std::size_t room = width_ > used + 20 ? width_ - used : 20;

    const std::string place = utf8::printable(row.place);
    std::string path = utf8::printable(row.path);
    const std::size_t path_room = std::max<std::size_t>(12, room * 3 / 5);
    const std::string where =
        path.empty() ? utf8::shorten_middle(place, room)
                     : utf8::shorten_middle(path, path_room - std::min(path_room - 8, place.size())) + place;
    out_ << where;
    room -= std::min(room, utf8::width(where));
    const auto append = [&](const std::string& part, const char* part_style) {
      if (part.empty() || room < 8) return;
      const std::string text = cut_end(utf8::printable(part), room - 2);
      out_ << "  " << (part_style != nullptr ? styled(part_style, text) : text);
      room -= std::min(room, utf8::width(text) + 2);
    };
    append(row.function, nullptr);
    append(row.note, dim);
    out_ << '\n';
  }

  void write_losses() {
    const LossReport& losses = report_.losses;
    std::string line;
    const auto add = [&line](std::uint64_t count, const char* what) {
      if (count > 0) line += (line.empty() ? "" : ", ") + plural(count, what);
    };
    add(losses.dropped_events, "event");
    if (!line.empty()) line += " not recorded";
    add(losses.torn_records, "torn record");
    if (!line.empty() || !losses.notes.empty()) out_ << '\n';
    if (!line.empty()) out_ << styled(yellow, "Not complete: ") << line << '\n';
    for (const std::string& note : losses.notes) write_wrapped("note: " + note, 0);
  }

  void write_audit() {
    const std::optional<Audit> audit = audit_of(report_);
    if (!audit || report_.at != "exit") return;
    const bool clean = audit->complete && !audit->unavailable && audit->missed == 0;
    out_ << '\n' << styled(clean ? green : yellow, utf8::printable(audit_line(*audit))) << '\n';
  }

  void write_footer() {
    if (options_.report_path.empty()) return;
    const std::string path = utf8::printable(options_.report_path);
    out_ << '\n' << "full report  " << path << "      page  vramtrack report --format html " << path << '\n';
  }

  const Report& report_;
  std::ostream& out_;
  const TextOptions& options_;
  std::size_t width_;
};

}  // namespace

void text(const Report& report, std::ostream& out, const TextOptions& options) {
  TextReport(report, out, options).write();
}

}  // namespace vramtrack::render
