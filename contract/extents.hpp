// The frame of a trace, for the tools: its extents, one after the other.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "contract/layout.hpp"

namespace vramtrack::trace {

/// An extent, or several that one header describes (ExtentHeader::run).
struct Run {
  std::size_t at = 0;  // in the file
  ExtentHeader head{};
  std::span<const std::byte> bytes;  // of the file, the header included
  bool damaged = false;              // it has no length, or reaches beyond the file

  bool in_use() const noexcept { return head.type != static_cast<std::uint32_t>(ExtentType::free); }
  std::span<const std::byte> payload() const noexcept { return bytes.subspan(sizeof(ExtentHeader)); }
};

/// The runs of a trace in the order of the file, that of the header first. One without a length is taken for one
/// extent, one that reaches beyond the file ends with it: damage hides no more than it has to. The views are of
/// `trace`.
std::vector<Run> runs_of(std::span<const std::byte> trace);

}  // namespace vramtrack::trace
