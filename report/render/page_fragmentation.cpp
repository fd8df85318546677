// What pins the caching allocator's segments, for the page's segment map.
#include "report/render/page_columns.hpp"

namespace vramtrack::render {

Json page_fragmentation(const Report& report) {
  const SiteIndex sites = site_index(report);
  Json devices = Json::array();
  for (const Fragmentation& device : report.fragmentation) {
    Json groups = Json::array();
    for (const PinGroup& group : device.pinned_by) {
      const auto site = group.site ? sites.find(*group.site) : sites.end();
      groups.push_back({{"site", site == sites.end() ? -1 : site->second},
                        {"mixed", !group.site},
                        {"holder", group.holder_id ? static_cast<std::int64_t>(*group.holder_id) : -1},
                        {"segments", group.segments},
                        {"segment_bytes", group.segment_bytes},
                        {"free_bytes", group.free_bytes},
                        {"blocks", group.blocks}});
    }
    devices.push_back({{"device", device.device},
                       {"unused_bytes", device.unused_bytes},
                       {"pinned_bytes", device.pinned_bytes},
                       {"pinned_segments", device.pinned_segments},
                       {"groups", std::move(groups)}});
  }
  return devices;
}

}  // namespace vramtrack::render
