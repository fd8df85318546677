#include <algorithm>

#include "report/model/sites.hpp"
#include "report/render/site_table.hpp"
#include "report/render/text_page.hpp"
#include "report/support/units.hpp"

namespace vramtrack::render {
namespace {

std::string end_words(const Report& report) {
  const ProcessEnd& end = report.process.end;
  const std::string code = end.code ? " " + std::to_string(*end.code) : "";
  if (report.at == "oom") return "out of memory";
  if (end.kind == "exit") return "exit" + code;
  if (end.kind == "signal") return "signal" + code;
  if (end.kind == "killed") return "killed" + (end.code ? " by signal" + code : "");
  if (end.kind == "running") return "still running";
  return "end not seen";
}

/// As it was typed, nearly: the program by its name, files relative to where it ran. Long paths give way first.
std::string command_words(const Report& report, std::size_t columns) {
  const Process& process = report.process;
  if (process.command.empty()) return short_path(utf8::printable(process.executable), columns);
  for (const bool names_only : {false, true}) {
    std::string words(file_name(process.command[0]));
    for (std::size_t i = 1; i < process.command.size(); ++i) {
      const std::string word = display_path(report, process.command[i]);
      words += ' ';
      words += names_only && word.front() == '/' ? file_name(word) : std::string_view(word);
    }
    words = utf8::printable(words);
    if (names_only || utf8::width(words) <= columns) return utf8::shorten_middle(words, columns);
  }
  return {};
}

void write_process(const TextPage& page) {
  const Process& process = page.report.process;
  const std::size_t merged = page.report.ranks.members.size();
  std::string facts =
      merged == 0 ? "   pid " + std::to_string(process.pid) : "   " + std::to_string(merged) + " processes";
  if (process.rank) facts += "   rank " + std::to_string(*process.rank);
  if (process.forked_from) facts += "   forked from " + std::to_string(*process.forked_from);
  facts += "   " + human_duration(process.duration) + "   " + end_words(page.report);
  if (page.report.environment.simulated) facts += "   simulated GPU";
  const std::size_t taken = std::string_view("vramtrack  ").size() + facts.size();
  const bool one_line = taken + 24 <= page.width;
  const std::size_t room = one_line ? page.width - taken : page.width - std::string_view("vramtrack  ").size();
  page.out << page.styled(style::bold, "vramtrack") << "  " << command_words(page.report, room)
           << (one_line ? facts : "\n" + facts.substr(1)) << '\n';
}

std::vector<int> devices(const Report& report) {
  std::vector<int> found;
  for (const Total& total : report.totals) {
    if (total.kind == "all" || total.allocated_count == 0) continue;
    if (std::find(found.begin(), found.end(), total.device) == found.end()) found.push_back(total.device);
  }
  std::sort(found.begin(), found.end(), [](int a, int b) { return (a < 0) != (b < 0) ? b < 0 : a < b; });
  return found;
}

/// What the device's memory is used for, as a sum where the driver has told what it comes to; only what is there.
std::vector<std::string> ledger_lines(const LedgerEntry& ledger, bool tensors, std::size_t columns) {
  std::string line;
  const char* const sign = ledger.driver_used_bytes ? "+ " : "";
  if (ledger.driver_used_bytes) {
    line = glued(human_bytes(*ledger.driver_used_bytes) + " of " + human_bytes(ledger.total_bytes) + " in use");
  }
  bool first = true;
  const auto add = [&](const std::string& what, Bytes bytes, const std::string& more = "") {
    if (bytes == 0) return;
    if (!first && !ledger.driver_used_bytes) line += ',';
    const std::string before = first ? (ledger.driver_used_bytes ? "= " : "") : sign;
    line += " " + glued(before + what + " " + human_bytes(bytes));
    if (!more.empty()) line += " " + glued(more);
    first = false;
  };
  if (tensors && ledger.driver_used_bytes) add("live tensors", ledger.tensors_live_bytes);
  if (tensors) {
    const Bytes largest = ledger.largest_free_cached_block_bytes;
    add("PyTorch's cache", ledger.cached_bytes, largest > 0 ? "(largest free piece " + human_bytes(largest) + ")" : "");
  }
  for (const Owner& owner : ledger.owners) {
    if (owner.owner != "torch" || !tensors) add(utf8::printable(owner.owner), owner.bytes);
  }
  add("CUDA context and others", ledger.context_and_other_bytes.value_or(0));
  std::vector<std::string> lines = first ? std::vector<std::string>() : wrapped(line, columns);
  if (ledger.managed_bytes == 0) return lines;
  const std::string managed =
      glued("managed memory " + human_bytes(ledger.managed_bytes)) + ", on the device or the host as it is used";
  for (std::string& more : wrapped(managed, columns)) lines.push_back(std::move(more));
  return lines;
}

/// All in one line where they fit, else below the name, as many side by side as there is room for.
void write_figures(const TextPage& page, const std::string& name, const std::vector<std::string>& figures) {
  std::size_t whole = utf8::width(name);
  for (const std::string& figure : figures) whole += 4 + utf8::width(figure);
  std::string line = name;
  if (whole > page.width) {
    page.out << line << '\n';
    line.clear();
  }
  for (const std::string& figure : figures) {
    if (!line.empty() && utf8::width(line) + 4 + utf8::width(figure) > page.width) {
      page.out << line << '\n';
      line.clear();
    }
    line += "    " + figure;
  }
  page.out << line << '\n';
}

void write_device(const TextPage& page, int device) {
  Total tensor, cuda;
  for (const Total& total : page.report.totals) {
    if (total.device != device) continue;
    Total& sum = total.layer == "tensor" ? tensor : cuda;
    sum.live_bytes += total.live_bytes;
    sum.live_count += total.live_count;
    sum.allocated_count += total.allocated_count;
    if (total.peak_bytes >= sum.peak_bytes) {
      sum.peak_bytes = total.peak_bytes;
      sum.peak_at_step = total.peak_at_step;
      sum.peak_at_time = total.peak_at_time;
    }
  }
  // The peaks of several kinds need not be at one moment; the series, which is of all kinds together, keeps its peak.
  for (const TimelineEntry& point : page.report.timeline) {
    if (point.device != device || point.layer != "cuda" || point.live_bytes <= cuda.peak_bytes) continue;
    cuda.peak_bytes = point.live_bytes;
    cuda.peak_at_step = point.step;
    cuda.peak_at_time = point.time;
  }
  const bool tensors = tensor.allocated_count > 0;
  const Total& shown = tensors ? tensor : cuda;
  std::string name = device < 0 ? "host memory" : "cuda:" + std::to_string(device);
  for (const Device& known : page.report.environment.devices) {
    if (known.index == device && !known.name.empty()) name += " " + utf8::printable(known.name);
  }
  std::vector<std::string> figures;
  figures.push_back("live " + human_bytes(shown.live_bytes) + " in " +
                    plural(shown.live_count, tensors ? "block" : "allocation"));
  figures.push_back("peak " + human_bytes(shown.peak_bytes) +
                    (page.report.steps.count > 0 ? " at step " + std::to_string(shown.peak_at_step)
                                                 : " at " + human_duration(shown.peak_at_time)));
  const auto ledger = std::find_if(page.report.ledger.begin(), page.report.ledger.end(),
                                   [&](const LedgerEntry& entry) { return entry.device == device; });
  const bool has_ledger = ledger != page.report.ledger.end();
  if (tensors && has_ledger) {
    figures.push_back("reserved " + human_bytes(ledger->tensors_live_bytes + ledger->cached_bytes));
  }
  write_figures(page, "  " + name, figures);
  if (has_ledger) page.write_lines(ledger_lines(*ledger, tensors, page.width - 4), 4);
}

}  // namespace

void write_header(const TextPage& page) {
  write_process(page);
  for (const int device : devices(page.report)) write_device(page, device);
  if (const auto& outlier = page.report.ranks.outlier) page.write_wrapped(outlier->message, 2);
}

}  // namespace vramtrack::render
