#include "report/render/page_columns.hpp"

#include <algorithm>

#include "report/model/sites.hpp"
#include "report/render/json_writer.hpp"
#include "report/render/record_columns.hpp"

namespace vramtrack::render {

std::uint32_t StackTree::insert(std::span<const FrameId> stack) {
  std::uint32_t node = 0;
  for (std::size_t i = stack.size(); i-- > 0;) {  // not std::views::reverse: clang 14 fails on libstdc++'s <ranges>
    const FrameId frame = stack[i];
    if (frame >= frame_count_) continue;
    const auto next = static_cast<std::uint32_t>(parents_.size());
    const auto [place, added] = children_.try_emplace((std::uint64_t{node} << 32) | frame, next);
    if (added) {
      parents_.push_back(node);
      frames_.push_back(frame);
    }
    node = place->second;
  }
  return node;
}

void StackTree::write(std::string& out) const {
  ObjectWriter object(out);
  object.key("length") += std::to_string(parents_.size());
  // How far above its own number a node's parent stands: mostly 1.
  std::int64_t node = 0;
  object.column("up", parents_, [&](auto parent) { return node++ - static_cast<std::int64_t>(parent); });
  object.column("frame", frames_, [](FrameId frame) { return std::uint32_t{frame}; });
  object.close();
}

std::string dump(const Json& json) { return json_text(json); }

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t extent : shape) {
    if (!text.empty()) text += " × ";
    append_number(text, extent);
  }
  return text.empty() ? "scalar" : text;
}

// "own": the user's code. In a program without Python that is the executable itself.
void write_frames(std::string& out, const Report& report, ColumnNumbers numbers) {
  const std::vector<Frame>& frames = report.frames;
  const bool python =
      std::any_of(frames.begin(), frames.end(), [](const Frame& frame) { return frame.kind == "python"; });
  ObjectWriter object(out);
  write_records(object, frames, numbers);
  object.column("own", frames, [&](const Frame& frame) {
    const bool of_program = !python && !frame.module.empty() && frame.module == report.process.executable;
    return is_own_frame(frame) || of_program ? 1 : 0;
  });
  object.close();
}

void write_sites(std::string& out, const Report& report, ColumnNumbers numbers) {
  ObjectWriter object(out);
  write_records(object, report.sites, numbers);
  object.column("line", report.sites, [&](const SiteReport& site) {
    const std::optional<FrameId> frame = own_frame(report, site);
    return frame ? static_cast<double>(*frame) : -1.0;
  });
  object.column("main", report.sites, [&](const SiteReport& site) { return is_main_layer(report, site) ? 1 : 0; });
  object.close();
}

}  // namespace vramtrack::render
