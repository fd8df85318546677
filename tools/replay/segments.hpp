// Which stream or private pool a block of PyTorch's allocator came from, out of the agent's looks at its segments.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "contract/reader.hpp"

namespace vramtrack::tools::replay {

/// Dense from 0; 0 is the default stream, and memory that belongs to no private pool.
struct Place {
  std::uint32_t stream = 0, pool = 0;
};

class Segments {
 public:
  Segments(const trace::TraceFile& trace, int device);

  /// Of a block made at `time` (ticks): what the first look after that says of its address. A segment that went before
  /// any look is taken for an ordinary one.
  Place place(std::uint64_t address, std::uint64_t time) const;

 private:
  struct Segment {
    std::uint64_t end = 0;
    Place place;
  };
  std::map<std::uint64_t, std::map<std::uint64_t, Segment>> looks_;  // time -> address -> it
};

}  // namespace vramtrack::tools::replay
