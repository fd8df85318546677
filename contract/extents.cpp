#include "contract/extents.hpp"

#include <algorithm>
#include <cstring>

namespace vramtrack::trace {

std::vector<Run> runs_of(std::span<const std::byte> trace) {
  std::vector<Run> runs;
  const std::size_t extents = (trace.size() + extent_bytes - 1) / extent_bytes;
  for (std::size_t extent = 0; extent * extent_bytes + sizeof(ExtentHeader) <= trace.size();) {
    Run run;
    run.at = extent * extent_bytes;
    std::memcpy(&run.head, trace.data() + run.at, sizeof run.head);
    const std::size_t told = extent == 0 || !run.in_use() ? 1 : run.head.run;
    const std::size_t length = std::clamp<std::size_t>(told, 1, extents - extent);
    run.damaged = length != told;
    run.bytes = trace.subspan(run.at, std::min(length * extent_bytes, trace.size() - run.at));
    runs.push_back(run);
    extent += length;
  }
  return runs;
}

}  // namespace vramtrack::trace
