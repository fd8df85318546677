// Tensors that are views: they show little and keep all of what they are cut from. Pure.
#pragma once

#include <string>

#include "report/model/model.hpp"

namespace vramtrack::findings {

/// What some tensors show of the memory that they keep.
struct Shown {
  Bytes bytes = 0, kept = 0;

  /// Whether they are cut out of something much larger, which they keep, too.
  bool is_of_views() const;

  /// The sentence that says so, a space before it.
  std::string text() const;
};

inline constexpr const char* views_fix = "Copy the part that is kept: `.clone()`, or `.cpu()`.";

/// The tensors of a row that have nearly all of it: its own, or the elements of lists below it.
Shown shown_in(const HolderMoment& moment, const HolderReport& row);

/// The most tensors that keep blocks of a site.
Shown shown_of_site(const Report& report, SiteId site);

}  // namespace vramtrack::findings
