#include "tools/top/view.hpp"

#include <algorithm>
#include <array>

#include "report/analysis/call_paths.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::tools {
namespace {

constexpr const char* bold = "\x1b[1m";
constexpr const char* dim = "\x1b[2m";
constexpr const char* red = "\x1b[31m";
constexpr const char* reverse = "\x1b[7m";
constexpr const char* plain = "\x1b[0m";

constexpr std::size_t most_processes_listed = 8, most_findings_listed = 3;

std::string right(const std::string& text, std::size_t width) {
  const std::size_t used = utf8::width(text);
  return used < width ? std::string(width - used, ' ') + text : text;
}

/// At most `width` columns: the end goes.
std::string cut(const std::string& text, std::size_t width) {
  if (utf8::width(text) <= width) return text;
  std::string kept;
  std::size_t used = 0;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = std::max<std::size_t>(1, utf8::sequence_length(std::string_view(text).substr(i)));
    const std::string glyph = text.substr(i, length);
    if (used + utf8::width(glyph) > width) break;
    used += utf8::width(glyph);
    kept += glyph;
    i += length;
  }
  return kept;
}

class Drawing {
 public:
  Drawing(const std::vector<const TopSample*>& samples, TopView& view)
      : samples_(samples), view_(view), width_(static_cast<std::size_t>(std::max(view.columns, 40))) {}

  std::vector<std::string> draw() {
    if (samples_.empty()) return {"no traced process"};
    view_.process = std::min(view_.process, samples_.size() - 1);
    const TopSample& sample = *samples_[view_.process];
    add_header(sample);
    if (view_.help) {
      add_help();
    } else {
      if (samples_.size() > 1) add_processes();
      if (!sample.problem.empty()) add(utf8::printable(sample.problem), red);
      for (const TopDevice& device : sample.devices) add_device(device);
      add_findings(sample);
      add_sites(sample);
    }
    if (view_.rows > 0 && lines_.size() > static_cast<std::size_t>(view_.rows)) {
      lines_.resize(static_cast<std::size_t>(view_.rows));
    }
    return std::move(lines_);
  }

 private:
  void add(const std::string& text, const char* style = "") {
    const std::string fitted = cut(text, width_);
    lines_.push_back(view_.colour && *style != '\0' ? style + fitted + plain : fitted);
  }

  std::string bytes(Bytes value) const { return view_.exact ? std::to_string(value) : human_bytes(value); }
  std::size_t number_width() const { return view_.exact ? 16 : narrow() ? 10 : 11; }
  bool narrow() const { return width_ < 100; }  // the place of a site is worth more than wide columns
  std::size_t rate_width() const { return narrow() ? 11 : 14; }

  static std::string state(const TopSample& sample) {
    if (!sample.running) return "ended";
    return sample.stopped ? "stopped" : "running";
  }

  void add_header(const TopSample& sample) {
    std::string facts = "   pid " + std::to_string(sample.pid);
    if (!sample.rank.empty()) facts += "   rank " + sample.rank;
    facts += "   " + human_duration(sample.duration);
    if (sample.has_steps) facts += "   step " + human_count(sample.steps);
    facts += "   " + state(sample);
    const std::string title = view_.paused ? "vramtrack top (view paused)  " : "vramtrack top  ";
    const std::size_t taken = title.size() + facts.size();
    const std::size_t room = width_ > taken + 16 ? width_ - taken : 16;
    add(title + utf8::shorten_middle(utf8::printable(sample.command), room) + facts, bold);
    if (view_.interactive) add("q quit   p pause   s sort   l layer   arrows scroll   Tab process   ? help", dim);
  }

  void add_help() {
    for (const char* line :
         {"", "  q         quit", "  p, space  pause the view (the program runs on)", "  b         sort by live bytes",
          "  n         sort by number of blocks", "  r         sort by growth per second over the last refreshes",
          "  t         sort by growth per step", "  s         next sort key",
          "  l         layer: main (nothing counted twice), tensor, cuda, all", "  e         exact bytes",
          "  up, down, Page, Home, End   scroll", "  Tab, Shift-Tab              process",
          "  + -       refresh more or less often", "  ?         close this help"}) {
      add(line);
    }
  }

  void add_processes() {
    add("");
    const std::size_t first = view_.process >= most_processes_listed ? view_.process + 1 - most_processes_listed : 0;
    for (std::size_t i = first; i < samples_.size() && i < first + most_processes_listed; ++i) {
      const TopSample& sample = *samples_[i];
      Bytes live = 0, peak = 0;
      for (const TopDevice& device : sample.devices) {
        if (device.device < 0) continue;
        live += device.live_bytes;
        peak += device.peak_bytes;
      }
      const std::string name = sample.rank.empty() ? "" : "rank " + sample.rank;
      std::string line = std::string(i == view_.process ? "> " : "  ") + right(std::to_string(sample.pid), 8) + "  " +
                         utf8::padded(name, 9) + "live " + right(bytes(live), number_width()) + "  peak " +
                         right(bytes(peak), number_width()) + "  " + utf8::padded(state(sample), 8);
      line += utf8::shorten_middle(utf8::printable(sample.command),
                                   width_ > utf8::width(line) + 10 ? width_ - utf8::width(line) : 10);
      add(line, i == view_.process ? bold : "");
    }
    if (samples_.size() > most_processes_listed) add("  " + plural(samples_.size(), "traced file") + " in all", dim);
  }

  void add_device(const TopDevice& device) {
    const bool host = device.device < 0;
    std::string line = utf8::padded(host ? "host" : render::device_name(device.device), 8) + "live " +
                       right(bytes(device.live_bytes), number_width()) + " in " + plural(device.live_count, "block") +
                       "   peak " + bytes(device.peak_bytes);
    const auto append = [&](const std::string& more) {
      if (utf8::width(line) + utf8::width(more) <= width_) line += more;
    };
    if (device.reserved_bytes) append("   reserved " + bytes(*device.reserved_bytes));
    if (device.total_bytes > 0) append(" of " + bytes(device.total_bytes));
    const std::size_t used = utf8::width(line);
    const bool beside = used + 12 <= width_;
    if (beside) line += "   " + sparkline(device.history, std::min<std::size_t>(width_ - used - 3, 40), view_.unicode);
    add(line);
    if (!beside && view_.rows >= 20 && samples_.size() == 1) {
      add(std::string(8, ' ') + sparkline(device.history, width_ - 8, view_.unicode));
    }
  }

  void add_findings(const TopSample& sample) {
    for (std::size_t i = 0; i < sample.findings.size() && i < most_findings_listed; ++i) {
      add("! " + utf8::printable(sample.findings[i]), red);
    }
    if (sample.findings.size() > most_findings_listed) {
      add("! " + std::to_string(sample.findings.size() - most_findings_listed) + " more findings", red);
    }
  }

  std::vector<const TopSite*> chosen_sites(const TopSample& sample) const {
    std::vector<const TopSite*> sites;
    for (const TopSite& site : sample.sites) {
      if (site.live_bytes == 0 && site.per_second == 0) continue;
      if (view_.layer == "main" ? site.main : view_.layer == "all" || view_.layer == site.layer) sites.push_back(&site);
    }
    std::stable_sort(sites.begin(), sites.end(), [&](const TopSite* a, const TopSite* b) {
      if (view_.sort == "count" && a->live_count != b->live_count) return a->live_count > b->live_count;
      if (view_.sort == "rate" && a->per_second != b->per_second) return a->per_second > b->per_second;
      if (view_.sort == "step" && a->per_step != b->per_step) return a->per_step.value_or(0) > b->per_step.value_or(0);
      return a->live_bytes > b->live_bytes;
    });
    return sites;
  }

  void add_sites(const TopSample& sample) {
    const std::vector<const TopSite*> sites = chosen_sites(sample);
    add("");
    const std::size_t above = lines_.size() + 1;
    std::size_t shown = view_.top;
    if (view_.rows > 0) {
      const auto rows = static_cast<std::size_t>(view_.rows);
      shown = rows > above + 1 ? rows - above - 1 : 1;  // one line says how many there are
    }
    view_.scroll = std::min(view_.scroll, sites.size() > shown ? sites.size() - shown : 0);
    const auto mark = [&](const char* name, const char* key) {
      return (view_.sort == key ? "*" : "") + std::string(name);
    };
    add(right(mark("bytes", "bytes"), number_width()) + right(mark("blocks", "count"), narrow() ? 8 : 9) +
            right(mark(narrow() ? "per s" : "per second", "rate"), rate_width()) +
            right(mark("per step", "step"), rate_width()) + "  " + utf8::padded("verdict", 9) +
            (narrow() ? "" : utf8::padded("layer", 8)) + "site",
        view_.interactive ? reverse : bold);
    const std::size_t end = std::min(sites.size(), view_.scroll + shown);
    for (std::size_t i = view_.scroll; i < end; ++i) add_site(*sites[i]);
    if (end - view_.scroll < sites.size()) {
      add("sites " + std::to_string(view_.scroll + 1) + " to " + std::to_string(end) + " of " +
              std::to_string(sites.size()),
          dim);
    } else if (sites.empty()) {
      add("nothing is live in this layer", dim);
    }
  }

  void add_site(const TopSite& site) {
    std::string line = right(bytes(site.live_bytes), number_width()) +
                       right(human_count(site.live_count), narrow() ? 8 : 9) +
                       right(site.per_second == 0 ? "-" : signed_bytes(site.per_second), rate_width()) +
                       right(site.per_step.value_or(0) == 0 ? "-" : signed_bytes(*site.per_step), rate_width()) + "  " +
                       utf8::padded(site.verdict, 9) + (narrow() ? "" : utf8::padded(site.layer, 8));
    const std::size_t used = utf8::width(line);
    const std::size_t room = width_ > used + 16 ? width_ - used : 16;
    std::string function = utf8::printable(site.function);
    if (site.layer == "cuda" && !site.owner.empty()) function += "  (" + utf8::printable(site.owner) + ")";
    if (site.path.empty()) {
      line += utf8::shorten_middle(function, room);
    } else {  // the line number stays, the path is cut in its middle, the rest at its end
      if (function == "<module>") function.clear();
      if (site.backward) function += function.empty() ? "in backward" : " in backward";
      if (!site.code.empty()) function += (function.empty() ? "" : "  ") + utf8::printable(site.code);
      const std::size_t wanted =
          site.line.size() + (function.empty() ? 0 : 2 + std::min(utf8::width(function), room / 3));
      const std::size_t for_path = room > wanted + 8 ? room - wanted : 8;
      line += utf8::shorten_middle(utf8::printable(site.path), for_path) + site.line;
      if (!function.empty()) line += "  " + function;
    }
    add(line, site.verdict == "growing" ? red : "");
  }

  const std::vector<const TopSample*>& samples_;
  TopView& view_;
  std::size_t width_;
  std::vector<std::string> lines_;
};

}  // namespace

std::string sparkline(const std::vector<Bytes>& values, std::size_t width, bool unicode) {
  static constexpr std::array<const char*, 9> blocks = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  static constexpr std::array<const char*, 9> ascii = {" ", "_", ".", "-", "=", "+", "*", "%", "#"};
  if (values.empty() || width == 0) return "";
  const Bytes top = *std::max_element(values.begin(), values.end());
  const std::size_t cells = std::min(width, values.size());
  std::string line;
  for (std::size_t cell = 0; cell < cells; ++cell) {
    const std::size_t begin = cell * values.size() / cells, end = (cell + 1) * values.size() / cells;
    const Bytes largest = *std::max_element(values.begin() + static_cast<std::ptrdiff_t>(begin),
                                            values.begin() + static_cast<std::ptrdiff_t>(end));
    // Rounded up: what is not nothing is seen.
    const auto height =
        top == 0 ? 0
                 : static_cast<std::size_t>((static_cast<double>(largest) * 8 + static_cast<double>(top) - 1) /
                                            static_cast<double>(top));
    line += (unicode ? blocks : ascii)[std::min<std::size_t>(height, 8)];
  }
  return line;
}

std::vector<std::string> draw_top(const std::vector<const TopSample*>& samples, TopView& view) {
  return Drawing(samples, view).draw();
}

}  // namespace vramtrack::tools
