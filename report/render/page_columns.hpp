// The parts of a page's data block that the report page and the diff page share: stacks, frames, sites.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "report/model/model.hpp"
#include "report/render/column_json.hpp"

namespace vramtrack::render {

/// All stacks as one tree, outermost frame first; node 0 is the root. A parent comes before its children.
class StackTree {
 public:
  /// Frames of a stack that are not below `frame_count` are left out.
  explicit StackTree(std::size_t frame_count) : frame_count_(frame_count) {}

  /// The node of a stack (given innermost first).
  std::uint32_t insert(std::span<const FrameId> stack);

  void write(std::string& out) const;

 private:
  std::size_t frame_count_;
  std::unordered_map<std::uint64_t, std::uint32_t> children_;  // parent and frame -> node
  std::vector<std::uint32_t> parents_{0};
  std::vector<FrameId> frames_{FrameId(0)};  // the root's is unused
};

/// JSON text; invalid UTF-8 becomes U+FFFD.
std::string dump(const Json& json);

/// "2 × 3".
std::string shape_text(const std::vector<std::int64_t>& shape);

class ColumnNumbers;
void write_frames(std::string& out, const Report& report, ColumnNumbers numbers);
void write_sites(std::string& out, const Report& report, ColumnNumbers numbers);

/// The report page's holders, of each moment at which they were looked at.
void write_holders(std::string& out, const Report& report, ColumnNumbers numbers);

}  // namespace vramtrack::render
