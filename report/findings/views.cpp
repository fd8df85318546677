#include "report/findings/views.hpp"

#include <algorithm>

#include "report/support/units.hpp"

namespace vramtrack::findings {

bool keeps_views(const HolderReport& row) { return row.shown_bytes != 0 && 4 * row.shown_bytes < row.own_bytes; }

std::string views_text(const HolderReport& row) {
  return " The tensors are views: they show " + human_bytes(row.shown_bytes) +
         " and keep all of what they are cut from.";
}

const HolderReport& tensors_in(const HolderMoment& moment, const HolderReport& row) {
  const HolderReport* at = &row;
  while (at->shown_bytes == 0) {
    const auto part = std::ranges::find_if(moment.rows, [&](const HolderReport& child) {
      return child.parent == at->id && 10 * child.retained_bytes >= 9 * at->retained_bytes;
    });
    if (part == moment.rows.end()) break;
    at = &*part;
  }
  return *at;
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
