#include "report/analysis/named_times.hpp"

#include <algorithm>
#include <map>

#include "contract/notes.hpp"
#include "report/model/fact_fields.hpp"

namespace vramtrack {
namespace {

/// The rows of a note that adds up, with the moment that each has. What was named before the trace, in a process whose
/// start is not known, falls on the beginning.
template <class Take>
void each_row(const Report& report, const trace::TraceFile& trace, std::string_view key,
              fact::Field<fact::Type::number> ticks, Take&& take) {
  const auto note = report.notes.find(std::string(key));
  if (note == report.notes.end() || !note->second.is_array()) return;
  for (const Json& row : note->second)
    if (const auto at = row.is_array() ? get(row, ticks) : std::nullopt) take(std::max(0.0, trace.seconds(*at)), row);
}

}  // namespace

std::vector<Mark> named_marks(const Report& report, const trace::TraceFile& trace) {
  std::vector<Mark> marks;
  each_row(report, trace, trace::note_key::marks, fact::marks::ticks, [&](double time, const Json& row) {
    if (std::optional<std::string> name = get(row, fact::marks::name))
      marks.push_back({time, std::move(*name), get(row, fact::marks::live_bytes)});
  });
  std::ranges::stable_sort(marks, {}, &Mark::time);
  return marks;
}

std::vector<Phase> named_phases(const Report& report, const trace::TraceFile& trace) {
  std::vector<Phase> phases;
  std::map<std::uint64_t, std::vector<std::size_t>> open;  // by thread, the innermost last
  each_row(report, trace, trace::note_key::phases, fact::phases::ticks, [&](double time, const Json& row) {
    const std::optional<std::uint64_t> thread = get(row, fact::phases::thread);
    if (!thread) return;
    std::vector<std::size_t>& inside = open[*thread];
    if (std::optional<std::string> name = get(row, fact::phases::name)) {
      inside.push_back(phases.size());
      phases.push_back({std::move(*name), static_cast<std::uint32_t>(*thread), time, std::nullopt});
    } else if (!inside.empty()) {  // else it began before the trace did
      phases[inside.back()].end = time;
      inside.pop_back();
    }
  });
  std::ranges::stable_sort(phases, {}, &Phase::begin);
  return phases;
}

}  // namespace vramtrack
