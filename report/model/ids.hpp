// The numbers by which the parts of a report refer to each other.
#pragma once

#include "contract/id.hpp"

namespace vramtrack {

template <class Json, class Thing>
void to_json(Json& json, Id<Thing> id) {
  json = std::uint32_t{id};
}

using FrameId = Id<struct Frame>;          // index into Report::frames
using SiteId = Id<struct SiteReport>;      // SiteReport::id
using HolderId = Id<struct HolderReport>;  // index into Report::holders.rows

}  // namespace vramtrack
