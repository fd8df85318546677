// What the program itself named: its marks, and its phases with their times.
#include <map>

#include "report/render/site_table.hpp"
#include "report/render/text_page.hpp"
#include "report/support/units.hpp"

namespace vramtrack::render {
namespace {

struct Times {
  std::uint64_t count = 0;
  double seconds = 0, begin = 0;
  bool open = false;
};

/// In a merged report: which ranks have it, where not all do.
std::string of_ranks(const Report& report, const std::vector<std::string>& ranks) {
  if (ranks.empty() || ranks.size() == report.ranks.names.size()) return "";
  if (ranks.size() > 1) return "  (" + plural(ranks.size(), "rank") + ")";
  return "  (" + std::string(ranks[0].starts_with("pid") ? "" : "rank ") + utf8::printable(ranks[0]) + ")";
}

void write_marks(const TextPage& page) {
  const std::vector<Mark>& marks = page.report.marks;
  page.out << '\n' << page.styled(style::bold, "Marks of the program") << '\n';
  const std::size_t shown = std::min(marks.size(), page.options.top);
  for (std::size_t i = 0; i < shown; ++i) {
    const std::string live = marks[i].live_bytes ? human_bytes(*marks[i].live_bytes) + " live" : "";
    page.out << pad_left(human_duration(marks[i].time), 12) << "  " << pad_left(live, 15) << "  "
             << cut_end(utf8::printable(marks[i].name), page.width - 31) << of_ranks(page.report, marks[i].ranks)
             << '\n';
  }
  if (marks.size() > shown) page.out << pad_left("", 14) << plural(marks.size() - shown, "more mark") << '\n';
}

void write_phases(const TextPage& page) {
  std::map<std::string, Times> by_name;
  for (const Phase& phase : page.report.phases) {
    Times& times = by_name[phase.name];
    if (times.count++ == 0) times.begin = phase.begin;
    times.open = times.open || !phase.end;
    times.seconds += phase.end.value_or(page.report.process.duration) - phase.begin;
  }
  std::vector<std::pair<std::string, Times>> in_order(by_name.begin(), by_name.end());
  std::ranges::stable_sort(in_order, {}, [](const auto& one) { return one.second.begin; });
  page.out << '\n' << page.styled(style::bold, "Phases of the program") << '\n';
  const std::size_t shown = std::min(in_order.size(), page.options.top);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& [name, times] = in_order[i];
    page.out << pad_left(human_duration(times.seconds), 12) << "  "
             << pad_left(times.count == 1 ? "once" : human_count(times.count) + " times", 15) << "  "
             << cut_end(utf8::printable(name), page.width - 31) << (times.open ? "  (open at the end)" : "") << '\n';
  }
  if (in_order.size() > shown) page.out << pad_left("", 14) << plural(in_order.size() - shown, "more phase") << '\n';
}

}  // namespace

void write_named(const TextPage& page) {
  if (!page.report.marks.empty()) write_marks(page);
  if (!page.report.phases.empty()) write_phases(page);
}

}  // namespace vramtrack::render
