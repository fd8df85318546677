#include "tools/replay/segments.hpp"

#include <algorithm>
#include <string>

#include "report/model/read_fact.hpp"

namespace vramtrack::tools::replay {
namespace {

/// The number of a name, dense in order of appearance.
class Numbers {
 public:
  std::uint32_t of(const std::string& name) {
    return numbers_.try_emplace(name, static_cast<std::uint32_t>(numbers_.size())).first->second;
  }

 private:
  std::map<std::string, std::uint32_t> numbers_;
};

bool is_number(const Json& value) { return value.is_number_unsigned(); }

}  // namespace

Segments::Segments(const trace::TraceFile& trace, int device) {
  Numbers streams, pools;
  streams.of("0");
  pools.of("[0,0]");
  for (const trace::Note* note : trace.all_notes("segments[]")) {
    const Json rows = read_fact(note->value);
    if (!rows.is_array()) continue;
    for (const Json& row : rows) {  // [ticks, device, address, bytes, stream, [pool's two numbers, where it has one]]
      if (!row.is_array() || row.size() != 6 || !std::all_of(row.begin(), row.begin() + 5, is_number)) continue;
      if (row[1] != device) continue;
      const auto address = row[2].get<std::uint64_t>();
      const Place place{streams.of(row[4].dump()), row[5].empty() ? 0 : pools.of(row[5].dump())};
      looks_[row[0].get<std::uint64_t>()][address] = {address + row[3].get<std::uint64_t>(), place};
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
