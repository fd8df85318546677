#include "report/analysis/named_times.hpp"

#include <algorithm>
#include <map>

#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

/// The entries of a note that adds up: lists that begin with a moment.
template <class Take>
void each_entry(const Report& report, const trace::TraceFile& trace, const char* key, Take&& take) {
  const auto note = report.notes.find(key);
  if (note == report.notes.end() || !note->second.is_array()) return;
  for (const Json& entry : note->second)
    if (entry.is_array() && entry.size() >= 2 && entry[0].is_number_unsigned())
      take(trace.seconds(entry[0].get<std::uint64_t>()), entry);
}

}  // namespace

std::vector<Mark> named_marks(const Report& report, const trace::TraceFile& trace) {
  std::vector<Mark> marks;
  each_entry(report, trace, "marks[]", [&](double time, const Json& entry) {
    if (!entry[1].is_string()) return;
    Mark mark{time, utf8::sanitise(entry[1].get<std::string>()), std::nullopt};
    if (entry.size() > 2 && entry[2].is_number_unsigned()) mark.live_bytes = entry[2].get<Bytes>();
    marks.push_back(std::move(mark));
  });
  std::ranges::stable_sort(marks, {}, &Mark::time);
  return marks;
}

std::vector<Phase> named_phases(const Report& report, const trace::TraceFile& trace) {
  std::vector<Phase> phases;
  std::map<std::uint64_t, std::vector<std::size_t>> open;  // by thread, the innermost last
  each_entry(report, trace, "phases[]", [&](double time, const Json& entry) {
    if (!entry[1].is_number_unsigned()) return;
    std::vector<std::size_t>& inside = open[entry[1].get<std::uint64_t>()];
    if (entry.size() > 2 && entry[2].is_string()) {
      inside.push_back(phases.size());
      phases.push_back(
          {utf8::sanitise(entry[2].get<std::string>()), entry[1].get<std::uint32_t>(), time, std::nullopt});
    } else if (!inside.empty()) {  // else it began before the trace did
      phases[inside.back()].end = time;
      inside.pop_back();
    }
  });
  std::ranges::stable_sort(phases, {}, &Phase::begin);
  return phases;
}

}  // namespace vramtrack
