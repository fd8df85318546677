#include "report/render/page_columns.hpp"

#include <algorithm>

#include "report/model/sites.hpp"
#include "report/render/json_writer.hpp"

namespace vramtrack::render {

std::uint32_t StackTree::insert(std::span<const FrameId> stack) {
  std::uint32_t node = 0;
  for (std::size_t i = stack.size(); i-- > 0;) {  // not std::views::reverse: clang 14 fails on libstdc++'s <ranges>
    const FrameId frame = stack[i];
    if (frame >= x_frame_count) continue;
    const auto next = static_cast<std::uint32_t>(x_parents.size());
    const auto [place, added] = x_children.try_emplace((std::uint64_t{node} << 32) | frame, next);
    if (added) {
      x_parents.push_back(node);
      x_frames.push_back(frame);
    }
    node = place->second;
  }
  return node;
}

void StackTree::write(std::string& out) const {
  ObjectWriter object(out);
  object.key("count") += std::to_string(x_parents.size());
  // How far above its own number a node's parent stands: mostly 1.
  std::int64_t node = 0;
  object.column("up", x_parents, [&](auto parent) { return node++ - static_cast<std::int64_t>(parent); });
  object.column("frame", x_frames, [](auto frame) { return frame; });
  object.close();
}

std::string dump(const Json& json) { return json_text(json); }

// "own": the user's code. In a program without Python that is the executable itself.
void write_frames(std::string& out, const Report& report, StringTable& strings) {
  const std::vector<Frame>& frames = report.frames;
  const bool python =
      std::any_of(frames.begin(), frames.end(), [](const Frame& frame) { return frame.kind == "python"; });
  ObjectWriter object(out);
  object.key("count") += std::to_string(frames.size());
  object.column("native", frames, [](const Frame& frame) { return frame.kind == "python" ? 0 : 1; });
  object.column("own", frames, [&](const Frame& frame) {
    const bool of_program = !python && !frame.module.empty() && frame.module == report.process.executable;
    return is_own_frame(frame) || of_program ? 1 : 0;
  });
  object.column("function", frames, [&](const Frame& frame) { return strings(frame.function); });
  object.column("file", frames, [&](const Frame& frame) { return strings(frame.file); });
  object.column("module", frames, [&](const Frame& frame) { return strings(frame.module); });
  object.column("line", frames, [](const Frame& frame) { return frame.line; });
  object.column("inlined", frames, [](const Frame& frame) { return frame.inlined ? 1 : 0; });
  object.column("source", frames, [&](const Frame& frame) {
    return frame.source ? static_cast<std::int64_t>(strings(*frame.source)) : std::int64_t{-1};
  });
  object.close();
}

SiteIndex site_index(const Report& report) {
  SiteIndex index;
  for (const SiteReport& site : report.sites) index.emplace(site.id, static_cast<std::int64_t>(index.size()));
  return index;
}

void write_sites(std::string& out, const Report& report, StringTable& strings, StackTree& tree) {
  using Site = const SiteReport&;
  const std::vector<SiteReport>& sites = report.sites;
  ObjectWriter object(out);
  object.key("count") += std::to_string(sites.size());
  object.column("id", sites, [](Site site) { return site.id; });
  object.column("layer", sites, [&](Site site) { return strings(site.layer); });
  object.column("kind", sites, [&](Site site) { return strings(site.kind); });
  object.column("device", sites, [](Site site) { return site.device; });
  object.column("owner", sites, [&](Site site) { return strings(site.owner); });
  object.column("verdict", sites, [&](Site site) { return strings(site.verdict); });
  object.column("evidence", sites, [&](Site site) { return strings(site.evidence); });
  object.column("live", sites, [](Site site) { return site.live_bytes; });
  object.column("count_live", sites, [](Site site) { return site.live_count; });
  object.column("largest", sites, [](Site site) { return site.largest_bytes; });
  object.column("own_peak", sites, [](Site site) { return site.peak_bytes; });
  object.column("peak", sites,
                [](Site site) { return site.at_peak_bytes ? static_cast<double>(*site.at_peak_bytes) : -1.0; });
  object.column("count_peak", sites,
                [](Site site) { return site.at_peak_count ? static_cast<double>(*site.at_peak_count) : -1.0; });
  object.column("allocated", sites, [](Site site) { return site.allocated_bytes; });
  object.column("count_allocated", sites, [](Site site) { return site.allocated_count; });
  object.column("first", sites, [](Site site) { return page_seconds(site.first_time); });
  object.column("last", sites, [](Site site) { return page_seconds(site.last_time); });
  object.column("per_step", sites, [](Site site) { return std::round(site.growth.bytes_per_step.value_or(-1)); });
  object.column("per_second", sites, [](Site site) { return std::round(site.growth.bytes_per_second); });
  object.column("spanned", sites, [](Site site) { return site.growth.steps_spanned; });
  object.column("node", sites, [&](Site site) { return tree.insert(site.stack); });
  object.column("line", sites, [&](Site site) {
    const std::optional<FrameId> frame = own_frame(report, site);
    return frame ? static_cast<std::int64_t>(*frame) : std::int64_t{-1};
  });
  object.column("use", sites, [&](Site site) { return strings(site.role); });
  object.column("phase", sites, [&](Site site) { return strings(site.phase); });
  object.column("module", sites, [&](Site site) { return strings(site.module.value_or("")); });
  object.column("range", sites, [&](Site site) { return strings(site.range.value_or("")); });
  object.column("main", sites, [&](Site site) { return is_main_layer(report, site) ? 1 : 0; });
  object.column("backward", sites, [&](Site site) {
    return site.backward_of ? static_cast<std::int64_t>(tree.insert(*site.backward_of)) : std::int64_t{-1};
  });
  object.close();
}

}  // namespace vramtrack::render
