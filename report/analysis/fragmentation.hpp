// What keeps the caching allocator's memory from being given back: it returns a segment only when nothing in it lives.
// Pure; needs the report's holders.
#pragma once

#include <string>
#include <vector>

#include "contract/reader.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

/// For each device on which PyTorch hands out blocks of its segments. `blocks` and `owners`: by site.
std::vector<Fragmentation> fragmentation(const trace::TraceFile& trace, const Report& report,
                                         const std::vector<std::vector<const trace::Block*>>& blocks,
                                         const std::vector<std::string>& owners);

/// Whether so much is free in pinned segments that it is worth a word.
bool is_fragmented(const Fragmentation& device) noexcept;

}  // namespace vramtrack
