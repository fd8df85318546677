#include "report/findings/views.hpp"

#include <algorithm>

#include "report/findings/grown.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

Shown of_row(const HolderReport& row) { return row.shown_bytes != 0 ? Shown{row.shown_bytes, row.own_bytes} : Shown{}; }

/// Of the row itself, else of those below it together: the elements of several lists.
void add_shown(const HolderMoment& moment, const HolderReport& row, Shown& all) {
  const Shown own = of_row(row);
  all.bytes += own.bytes;
  all.kept += own.kept;
  if (own.bytes != 0) return;
  for (const HolderReport& child : moment.rows)
    if (child.parent == row.id) add_shown(moment, child, all);
}

}  // namespace

bool Shown::is_of_views() const { return bytes != 0 && 4 * bytes < kept; }

std::string Shown::text() const {
  return " The tensors are views: they show " + human_bytes(bytes) + " and keep all of what they are cut from.";
}

Shown shown_in(const HolderMoment& moment, const HolderReport& row) {
  Shown all;
  add_shown(moment, row, all);
  return 10 * all.kept >= 9 * row.retained_bytes ? all : Shown{};
}

Shown shown_of_site(const Report& report, SiteId site) {
  const HolderReport* found = nullptr;
  for (const HolderReport& row : report.holders.rows)
    if (row.shown_bytes != 0 && std::ranges::find(row.sites, site) != row.sites.end() &&
        (found == nullptr || row.retained_bytes > found->retained_bytes))
      found = &row;
  return found == nullptr ? Shown{} : of_row(*found);
}

}  // namespace vramtrack::findings
