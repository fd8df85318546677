#include "tools/replay/segments.hpp"

#include <map>
#include <vector>

#include "contract/notes.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/read_fact.hpp"

namespace vramtrack::tools::replay {
namespace {

/// The number of an id, dense in order of appearance.
class Numbers {
 public:
  std::uint32_t of(const std::vector<std::uint64_t>& id) {
    return numbers_.try_emplace(id, static_cast<std::uint32_t>(numbers_.size())).first->second;
  }

 private:
  std::map<std::vector<std::uint64_t>, std::uint32_t> numbers_;
};

}  // namespace

Segments::Segments(const trace::TraceFile& trace, int device) {
  Numbers streams, pools;
  streams.of({0});
  pools.of({0, 0});
  namespace segment = fact::segments;
  for (const trace::Note* note : trace.all_notes(trace::note_key::segments)) {
    const Json rows = read_fact(note->value);
    if (!rows.is_array()) continue;
    for (const Json& row : rows) {
      const auto ticks = get(row, segment::ticks), of = get(row, segment::device), address = get(row, segment::address),
                 bytes = get(row, segment::bytes), stream = get(row, segment::stream);
      if (!ticks || !address || !bytes || !stream || of != static_cast<std::uint64_t>(device)) continue;
      const std::vector<std::uint64_t> pool = get(row, segment::pool);
      const Place place{streams.of({*stream}), pool.empty() ? 0 : pools.of(pool)};
      looks_[*ticks][*address] = {*address + *bytes, place};
    }
  }
}

Place Segments::place(std::uint64_t address, std::uint64_t time) const {
  for (auto look = looks_.lower_bound(time); look != looks_.end(); ++look) {
    auto after = look->second.upper_bound(address);
    if (after == look->second.begin()) continue;
    const Segment& segment = std::prev(after)->second;
    if (address < segment.end) return segment.place;
  }
  return {};
}

}  // namespace vramtrack::tools::replay
