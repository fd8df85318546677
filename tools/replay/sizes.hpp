// What the blocks of PyTorch's allocator were asked for, where a history holds only what they got.
//
// A block has the size that was asked for, up to 512 bytes, with one exception: where no more than 1 MiB would be left
// of a free piece, a block above 1 MiB gets the whole of it. Such a block fills its piece to the end; what it was asked
// for lies within that 1 MiB, and above every smaller free piece of its place, which would have been taken instead.
// The agent saw those that lived when it looked; of others, a size that was certainly asked for near it and lies
// within these bounds is likely.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "contract/reader.hpp"
#include "tools/replay/allocator.hpp"

namespace vramtrack::tools::replay {

class Sizes {
 public:
  Sizes(const trace::TraceFile& trace, int device);

  /// In order of time (ticks): what the looks before `time` saw of the blocks that live.
  void look_until(std::uint64_t time);

  void add_segment(std::uint64_t address, std::uint64_t bytes);
  void drop_segment(std::uint64_t address);
  void add_block(std::size_t event, std::uint64_t address, std::uint64_t bytes, Place place);
  void drop_block(std::uint64_t address);

  /// Fills in `likely` and `least` of the blocks that are not certain; says how many these are.
  std::uint64_t settle(std::vector<Event>& events) const;

 private:
  struct Unsure {
    std::size_t event = 0;
    std::uint64_t least = 0, most = 0;
    bool seen = false;
  };
  struct Segment {
    std::uint64_t end = 0;
    std::multiset<std::uint64_t>* free = nullptr;   // the pieces of its place; not known before its first block
    std::map<std::uint64_t, std::uint64_t> blocks;  // address: end
  };
  struct Gap {
    std::uint64_t begin, end;
    std::uint64_t bytes() const { return end - begin; }
  };

  std::map<std::uint64_t, Segment>::iterator segment_of(std::uint64_t address);
  static Gap gap_around(const std::pair<const std::uint64_t, Segment>& segment, std::uint64_t address);

  std::map<std::uint64_t, std::map<std::uint64_t, std::uint64_t>> looks_;  // time: address: asked for, if less
  std::map<std::uint64_t, Segment> segments_;                              // by address
  std::map<std::uint64_t, std::multiset<std::uint64_t>> free_;             // by place: the sizes of its free pieces
  std::map<std::uint64_t, std::size_t> living_;                            // address: index into unsure_
  std::vector<Unsure> unsure_;
  std::map<std::uint64_t, std::vector<std::size_t>> certain_;  // size: the events, ascending
};

}  // namespace vramtrack::tools::replay
