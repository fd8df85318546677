// Tensors that are views: they show little and keep all of what they are cut from. Pure.
#pragma once

#include <string>

#include "report/model/model.hpp"

namespace vramtrack::findings {

/// Whether what a holder's tensors keep is cut out of something much larger, which they keep, too.
bool keeps_views(const HolderReport& row);

/// The sentence that says so, a space before it.
std::string views_text(const HolderReport& row);

inline constexpr const char* views_fix = "Copy the part that is kept: `.clone()`, or `.cpu()`.";

/// The row itself, or the tensors below it that have nearly all of it: the elements of a list.
const HolderReport& tensors_in(const HolderMoment& moment, const HolderReport& row);

/// The most tensors that keep blocks of a site, or nullptr.
const HolderReport* tensors_of_site(const Report& report, SiteId site);

}  // namespace vramtrack::findings
