#include "report/findings/views.hpp"

#include <algorithm>

#include "report/findings/grown.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {

bool keeps_views(const HolderReport& row) { return row.shown_bytes != 0 && 4 * row.shown_bytes < row.own_bytes; }

std::string views_text(const HolderReport& row) {
  return " The tensors are views: they show " + human_bytes(row.shown_bytes) +
         " and keep all of what they are cut from.";
}

const HolderReport& tensors_in(const HolderMoment& moment, const HolderReport& row) {
  for (const HolderReport* at = &row; at != nullptr; at = part_with_nearly_all(moment, *at))
    if (at->shown_bytes != 0) return *at;
  return row;
}

const HolderReport* tensors_of_site(const Report& report, SiteId site) {
  const HolderReport* found = nullptr;
  for (const HolderReport& row : report.holders.rows)
    if (row.shown_bytes != 0 && std::ranges::find(row.sites, site) != row.sites.end() &&
        (found == nullptr || row.retained_bytes > found->retained_bytes))
      found = &row;
  return found;
}

}  // namespace vramtrack::findings
