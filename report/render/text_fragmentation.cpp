// What keeps the caching allocator's free memory from being given back, where that is a notable share.
#include "report/analysis/fragmentation.hpp"
#include "report/model/sites.hpp"
#include "report/render/text_page.hpp"
#include "report/support/units.hpp"

namespace vramtrack::render {
namespace {

constexpr std::size_t most_groups = 5;

std::string blocks_of(const TextPage& page, const PinGroup& group) {
  std::string where = group.site ? "a call site that is not listed" : "several call sites";
  for (const SiteReport& site : page.report.sites) {
    if (site.id != group.site) continue;
    const std::optional<FrameId> own = own_frame(page.report, site);
    if (!own) continue;
    const Frame& frame = page.report.frames[*own];
    where = frame.line > 0 ? place(frame.file, frame.line) : frame_label(frame);
  }
  std::string text = plural(group.blocks, "block") + " from " + where;
  if (group.holder_id) text += ", held by " + page.report.holders.rows[*group.holder_id].path;
  return utf8::printable(text);
}

}  // namespace

void write_fragmentation(const TextPage& page) {
  for (const Fragmentation& device : page.report.fragmentation) {
    if (!is_fragmented(device)) continue;
    page.out << '\n'
             << page.styled(style::bold, "Free but not to be given back, cuda:" + std::to_string(device.device) + ": " +
                                             human_bytes(device.pinned_bytes) + " of " +
                                             human_bytes(device.reserved_bytes) + " reserved, in " +
                                             plural(device.pinned_segments, "segment"))
             << '\n';
    std::size_t lines = 0;
    for (const PinGroup& group : device.pinned_by) {
      if (20 * group.free_bytes < device.pinned_bytes || lines++ == most_groups) break;
      const std::string text = glued(human_bytes(group.free_bytes)) + " free in " + plural(group.segments, "segment") +
                               ", kept by " + blocks_of(page, group) + "; " + glued(human_bytes(group.segment_bytes)) +
                               " can be given back when " + (group.blocks == 1 ? "it goes." : "they go.");
      page.write_lines(wrapped(text, page.width - 2), 2);
    }
  }
}

}  // namespace vramtrack::render
