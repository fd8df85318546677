// Rebuilds the caching allocator's segments from the blocks that were live: which tensor lies in which piece of CUDA
// memory, and what is free between them.
#pragma once

#include <optional>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack::render {

struct SegmentBlock {
  std::uint64_t address = 0;
  Bytes bytes = 0;
  bool live = false;                             // false: cached by the allocator, free for its next request
  const SiteReport* site = nullptr;              // of a live block, when known
  const AllocationReport* allocation = nullptr;  // null: only its site's sum is known
};

struct Segment {
  int device = 0;
  std::uint64_t address = 0;
  Bytes bytes = 0;
  std::uint64_t stream = 0;
  double time = 0;
  bool expandable = false;           // of several pieces, each obtained and mapped by itself
  Bytes piece_bytes = 0;             // the largest of them
  const SiteReport* site = nullptr;  // who obtained it from CUDA, when known
  std::vector<SegmentBlock> blocks;  // gapless, by address
};

/// Segments of all devices, by device and address. On a device with tensors: what the caching allocator holds. On any
/// other: each block of CUDA memory, all of it live. Their bytes are the report's, block by block: a block that the
/// report does not list (allocations_omitted) appears as one block per site.
std::vector<Segment> rebuild_segments(const Report& report);

}  // namespace vramtrack::render
