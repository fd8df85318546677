// The numbers by which the parts of a report refer to each other.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>

namespace vramtrack {

/// Which of some things: made on purpose, so that a site's number is never taken for a frame's, and read as the number
/// that it is.
template <class Thing>
class Id {
 public:
  constexpr Id() = default;
  template <std::integral Number>
  constexpr explicit Id(Number number) : number_(static_cast<std::uint32_t>(number)) {}
  constexpr operator std::uint32_t() const { return number_; }

 private:
  std::uint32_t number_ = 0;
};

template <class Json, class Thing>
void to_json(Json& json, Id<Thing> id) {
  json = std::uint32_t{id};
}

using FrameId = Id<struct Frame>;          // index into Report::frames
using SiteId = Id<struct SiteReport>;      // SiteReport::id
using HolderId = Id<struct HolderReport>;  // index into Report::holders.rows

}  // namespace vramtrack

template <class Thing>
struct std::hash<vramtrack::Id<Thing>> {
  std::size_t operator()(vramtrack::Id<Thing> id) const noexcept { return std::hash<std::uint32_t>()(id); }
};
