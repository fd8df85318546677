#include "report/findings/grown.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "report/analysis/agent_facts.hpp"
#include "report/findings/registry.hpp"
#include "report/model/sites.hpp"
#include "report/symbolize/owner.hpp"

namespace vramtrack::findings {
namespace {

bool same_memory(const HolderReport& a, const HolderReport& b) {
  return std::any_of(a.sites.begin(), a.sites.end(),
                     [&](SiteId site) { return std::find(b.sites.begin(), b.sites.end(), site) != b.sites.end(); });
}

/// Whether the end of the run, too, shows who holds what a look saw: then that tells whether there was more and more.
bool is_known_at_the_end(const Report& report, const HolderReport& row) {
  return std::ranges::any_of(report.moments, [&](const HolderMoment& moment) {
    return moment.moment == "exit" && std::ranges::any_of(moment.rows, [&](const HolderReport& other) {
             return other.retained_bytes >= row.retained_bytes && same_memory(row, other);
           });
  });
}

/// A look tells of growth until then. It must have been late, or the growth must have gone on.
bool went_on(const Report& report, const HolderMoment& moment, const HolderReport& row) {
  if (moment.moment != "look" || row.let_go) return true;
  if (is_known_at_the_end(report, row)) return false;
  if (moment.step > 0 && !growth_went_on(report, moment.step)) return false;
  double end = 0;
  bool kept_all = false;  // its largest site freed nothing before it had made its last block
  for (const SiteReport& site : report.sites) {
    const auto at = std::find(row.sites.begin(), row.sites.end(), site.id);
    if (at == row.sites.end()) continue;
    end = std::max(end, site.last_time);
    if (at == row.sites.begin()) kept_all = 20 * site.peak_bytes >= 19 * site.allocated_bytes;
  }
  return kept_all || moment.time - row.first_time >= (end - row.first_time) / 2;
}

/// Attributes of one object that differ in the numbers of their names: what makes them is a statement.
bool is_numbered(const HolderReport& row) {
  const std::size_t name = row.path.rfind('.');
  const bool attribute =
      row.kind == "attribute" || row.path.find('[', name) == std::string::npos;  // of a module's table
  return attribute && row.line_adds && row.path.find('#', name) != std::string::npos;
}

/// Single parts of a row that grew, and those that are many under numbered names.
std::vector<const HolderReport*> growing_parts(const HolderMoment& moment, const HolderReport& row) {
  std::vector<const HolderReport*> parts;
  for (const HolderReport& child : moment.rows)
    if (child.parent == row.id && (child.count == 1 || is_numbered(child)) && child.verdict == "growing")
      parts.push_back(&child);
  return parts;
}

/// The part of a row that has most of what grows in it; nullptr: there are several alike, or none.
const HolderReport* main_part(const HolderMoment& moment, const HolderReport& row) {
  const HolderReport* largest = nullptr;
  Bytes all = 0;
  for (const HolderReport* part : growing_parts(moment, row)) {
    all += part->retained_bytes;
    if (largest == nullptr || part->retained_bytes > largest->retained_bytes) largest = part;
  }
  if (largest != nullptr) return 4 * largest->retained_bytes >= 3 * all ? largest : nullptr;
  // Seen alone, a part may have too little to tell that it grows, though nearly all blocks of the whole are its own.
  for (const HolderReport& child : moment.rows)
    if (child.parent == row.id && child.count == 1 && !child.limited && child.elements > 4 &&
        4 * child.blocks >= 3 * row.blocks)
      return &child;
  return nullptr;
}

/// The part, one or many alike, that has nearly all of what grew.
const HolderReport* like_parts(const HolderMoment& moment, const HolderReport& row) {
  for (const HolderReport& child : moment.rows)
    if (child.parent == row.id && !child.limited && child.verdict == "growing" && 4 * child.blocks >= 3 * row.blocks)
      return &child;
  return nullptr;
}

bool is_point(const HolderMoment& moment, const HolderReport& row) {
  if (row.verdict != "growing" || row.limited || row.retained_bytes < worth_telling) return false;
  if (row.garbage && !grew_before_it_was_lost(moment, row)) return false;
  // Elements are told by their container, unless several hold them together.
  for (const HolderReport* up = above(moment, row); up != nullptr; up = above(moment, *up))
    if (up->verdict == "growing" || up->limited) return false;
  return true;
}

/// Whether most of what a row holds is in something that has a limit: a pool that fills, in an object of the user's.
bool is_mostly_limited(const HolderMoment& moment, const HolderReport& row) {
  Bytes limited = 0;
  for (const HolderReport& part : moment.rows) {
    if (!part.limited) continue;
    const HolderReport* up = above(moment, part);
    while (up != nullptr && up != &row && !up->limited) up = above(moment, *up);
    if (up == &row) limited += part.retained_bytes;
  }
  return 2 * limited >= row.retained_bytes;
}

/// What leads from a row to one below it, whatever the subscripts: `[][]`, `.children[]`.
std::string link_between(const HolderReport& above, const HolderReport& below) {
  return below.path.starts_with(above.path) ? blank_indices(below.path.substr(above.path.size())) : "";
}

/// Whether a chain begins at one of the rows, each of which is the main part of the one before: an object in one of its
/// own class, as its attribute, or three times over by the same reference (`(value, rest)`, a function in the variables
/// of the one that wraps it, a tree of nodes). `link`: how many rows further on its next object is.
bool begins_chain(const std::vector<const HolderReport*>& rows, std::size_t at, std::size_t& link) {
  const auto is_same = [&](std::size_t one, std::size_t other) {
    return !rows[one]->type.empty() && rows[one]->type == rows[other]->type;
  };
  link = 1;
  if (at + 1 < rows.size() && rows[at + 1]->kind == "attribute" && is_same(at, at + 1)) return true;
  constexpr std::size_t most_between = 3;
  for (; link <= most_between && at + 2 * link < rows.size(); ++link) {
    const std::string by = link_between(*rows[at], *rows[at + link]);
    if (!by.empty() && is_same(at, at + link) && is_same(at, at + 2 * link) &&
        by == link_between(*rows[at + link], *rows[at + 2 * link]))
      return true;
  }
  return false;
}

/// A row, its main part, the main part of that, and so on.
std::vector<const HolderReport*> main_parts(const HolderMoment& moment, const HolderReport& row) {
  std::vector<const HolderReport*> rows{&row};
  while (const HolderReport* part = main_part(moment, *rows.back())) rows.push_back(part);
  return rows;
}

/// From the outermost growing row down to the innermost single one that has nearly all of the growth. Of a chain, its
/// first object holds all.
const HolderReport& innermost(const HolderMoment& moment, const HolderReport& row) {
  const std::vector<const HolderReport*> rows = main_parts(moment, row);
  for (std::size_t at = 0, link = 1; at + 1 < rows.size(); ++at)
    if (begins_chain(rows, at, link))
      return rows[at]->line_adds || !rows[at + link]->line_adds ? *rows[at] : *rows[at + link];
  return *rows.back();
}

/// The points in a row whose growth lies in several parts alike; none in a chain.
std::vector<const HolderReport*> points_in(const HolderMoment& moment, const HolderReport& row) {
  std::vector<const HolderReport*> points;
  if (std::size_t link = 1; begins_chain(main_parts(moment, row), 0, link)) return points;
  for (const HolderReport* part : growing_parts(moment, row)) points.push_back(&innermost(moment, *part));
  return points;
}

/// The statements that fill a row's growing parts tell more than the row's own line: that of the largest, or of what
/// like elements have (`case.windows.append(...)`, in each of a list of cases that is as it was).
const HolderReport* place_of(const HolderMoment& moment, const HolderReport& row) {
  const std::vector<const HolderReport*> points = points_in(moment, row);
  const bool fill = !row.line_adds && !points.empty() &&
                    std::ranges::all_of(points, [](const HolderReport* point) { return point->line_adds; });
  if (fill) return points.front();
  if (row.line_adds || row.garbage) return &row;
  for (const HolderReport* at = &row; at != nullptr; at = like_parts(moment, *at))
    if (at->line_adds) return at;
  return &row;
}

/// Of a cycle, whose `variable` is the reference that closes it, the path, unless that is what it grew in.
std::string short_of(const HolderReport& row) {
  const bool closes = row.garbage && !(row.line_calls && row.variable.starts_with(row.path + "."));
  return closes || row.variable.empty() ? row.path : row.variable;
}

/// Functions of PyTorch's headers and the language's, which are compiled into whatever includes them.
bool is_header_function(std::string_view function) {
  constexpr std::array<std::string_view, 5> spaces = {"at::", "c10::", "torch::", "std::", "pybind11::"};
  return std::ranges::any_of(spaces, [&](std::string_view space) { return function.starts_with(space); });
}

/// The innermost function on a site's stack of C++ code that is neither PyTorch's nor of what it stands on: of an
/// extension, or of the program itself; nullptr: there is none.
const Frame* extension_frame(const Report& report, const SiteReport& site) {
  for (const FrameId id : site.stack) {
    const Frame& frame = report.frames[id];
    if (frame.kind != "native" || frame.function.empty() || is_header_function(frame.function)) continue;
    const std::string_view owner = owner_of_module(frame.module);
    if (!owner.empty() && owner != "torch" && owner != "nccl" && owner != "nvrtc" && !is_math_library(owner))
      return &frame;
  }
  return nullptr;
}

/// Parts of many models that are alike are told by what has the models.
const HolderReport& container_of_models(const HolderMoment& moment, const HolderReport& row) {
  if (2 * model_bytes(row.roles) <= row.retained_bytes) return row;
  if (is_numbered(row) && row.type.ends_with("Tensor")) return row;  // buffers of one module
  const HolderReport* at = &row;
  while (at->count > 1 && above(moment, *at) != nullptr) at = above(moment, *at);
  return at->count == 1 ? *at : row;
}

}  // namespace

bool is_put_together(const Report& report, const std::string& variable) {
  if (report.ooms.empty()) return false;
  for (const HolderMoment& moment : report.moments) {
    std::set<HolderId> others;
    Bytes shown = 0;
    for (const HolderReport& row : moment.rows) {
      if (row.variable != variable) continue;
      others.insert(row.also_held_by.begin(), row.also_held_by.end());
      if (row.count > 1) shown += row.shown_bytes;
    }
    for (const HolderId id : others) {
      if (id >= moment.rows.size()) continue;
      const HolderReport& other = moment.rows[id];
      if (other.type.starts_with("CatBackward") || other.type.starts_with("StackBackward")) return true;
      if (other.count == 1 && other.shown_bytes != 0 && other.shown_bytes == shown) return true;
    }
  }
  return false;
}

bool was_put_together(const Report& report, SiteId id) {
  const SiteReport* const site = find_site(report, id);
  if (site == nullptr) return false;
  return std::ranges::any_of(report.sites, [&](const SiteReport& other) {
    if (other.id == id || other.layer != site->layer || other.device != site->device) return false;
    // The allocator's blocks are up to 1 MiB larger than what is asked for, and the last result may be there twice.
    const Bytes most = other.largest_bytes + (1 << 20) + site->largest_bytes;
    return other.first_time >= site->last_time && other.largest_bytes >= 4 * site->largest_bytes &&
           other.largest_bytes <= site->peak_bytes + (1 << 20) && site->peak_bytes <= most;
  });
}

bool goes_through_cxx(const HolderReport& row) {
  return row.cycle.find(" ctx.") != std::string::npos || row.cycle.find(".grad") != std::string::npos;
}

bool grew_before_it_was_lost(const HolderMoment& moment, const HolderReport& row) {
  if (row.count != 1) return false;
  // What C++ closes (`ctx`, `.grad`) is told as a cycle: it is never freed.
  const bool in_cycle = !row.cycle.empty() && !goes_through_cxx(row);
  return std::any_of(moment.rows.begin(), moment.rows.end(), [&](const HolderReport& child) {
    if (child.parent != row.id || child.verdict != "growing" || child.elements <= 4) return false;
    // Elements of a container that is in the cycle, or that the cycle leads to.
    if (child.count > 1) return (in_cycle || (row.cycle.empty() && row.parent)) && child.count > 4;
    return child.cycle.empty() || (in_cycle && grew_before_it_was_lost(moment, child));
  });
}

std::string name_of(const HolderMoment& moment, const HolderReport& row) {
  std::string text;
  for (const HolderReport* part : points_in(moment, row)) {
    if (part->kind == "item") return short_of(row);  // elements are no names of their own
    text += (text.empty() ? "" : " / ") + short_of(*part);
  }
  return text.empty() ? short_of(container_of_models(moment, row)) : text;
}

const HolderReport* above(const HolderMoment& moment, const HolderReport& row) {
  return row.parent && *row.parent < moment.rows.size() ? &moment.rows[*row.parent] : nullptr;
}

const std::string& evidence_of(const HolderMoment& moment, const HolderReport& row) {
  for (const HolderReport* at = &row; at != nullptr; at = above(moment, *at))
    if (at->verdict == "growing") return at->evidence;
  return row.evidence;
}

const HolderReport* part_with_nearly_all(const HolderMoment& moment, const HolderReport& row) {
  const auto part = std::ranges::find_if(moment.rows, [&](const HolderReport& child) {
    return child.parent == row.id && 10 * child.retained_bytes >= 9 * row.retained_bytes;
  });
  return part == moment.rows.end() ? nullptr : &*part;
}

const HolderReport& known_in(const HolderMoment& moment, const HolderReport& row) {
  for (const HolderReport* at = &row; at != nullptr; at = part_with_nearly_all(moment, *at))
    if (!at->known.empty()) return *at;
  return row;
}

std::vector<Grown> grown_holders(const Report& report) {
  std::vector<Grown> all;
  for (const HolderMoment& moment : report.moments)
    for (const HolderReport& row : moment.rows) {
      if (!is_point(moment, row) || is_put_together(report, row.variable)) continue;
      const HolderReport& point = innermost(moment, row);
      const bool by_step = point.bytes_per_step.value_or(0) > 0;
      if (!by_step && !point.sites.empty() && was_put_together(report, point.sites.front())) continue;
      if (point.retained_bytes >= worth_telling && !is_mostly_limited(moment, point) && went_on(report, moment, point))
        all.push_back({&moment, &point, place_of(moment, point), 2 * point.graph_bytes > point.retained_bytes});
    }
  // The same memory was seen at several moments: the name that a statement adds to tells more, then the larger one.
  std::stable_sort(all.begin(), all.end(), [](const Grown& a, const Grown& b) {
    if (a.row->line_adds != b.row->line_adds) return a.row->line_adds;
    return a.row->retained_bytes > b.row->retained_bytes;
  });
  std::vector<Grown> kept;
  for (const Grown& grown : all)
    if (std::none_of(kept.begin(), kept.end(), [&](const Grown& other) {
          return other.moment != grown.moment && same_memory(*other.row, *grown.row);
        }))
      kept.push_back(grown);
  std::stable_sort(kept.begin(), kept.end(),
                   [](const Grown& a, const Grown& b) { return a.row->retained_bytes > b.row->retained_bytes; });
  return kept;
}

const SiteReport* main_site(const Report& report, const HolderReport& row) {
  for (const SiteId id : row.sites)
    if (const SiteReport* site = find_site(report, id)) return site;
  return nullptr;
}

std::string held_also(const HolderMoment& moment, const HolderReport& row) {
  std::string text;
  for (const HolderId id : row.also_held_by) {
    if (id >= moment.rows.size() || moment.rows[id].path == row.path) continue;
    const HolderReport& other = moment.rows[id];
    if (other.path.ends_with(" local self")) continue;  // of a method that runs, as long as it runs
    text += text.empty() ? " Also held by `" : ", `";
    text += (other.variable == row.variable ? other.path : other.variable) + "`";
  }
  return text.empty() ? text : text + ": all must let go.";
}

bool is_unheld(const HolderReport& row) { return row.kind == "cxx" && row.type.empty() && row.variable.empty(); }

std::string unheld_text(const Report& report, const HolderReport& row, std::string& fix) {
  const SiteReport* const site = main_site(report, row);
  const Frame* const frame = site == nullptr ? nullptr : extension_frame(report, *site);
  if (frame == nullptr) {
    fix = unknown_keeper_fix;
    return "No Python object refers to them: C++ keeps them.";
  }
  const std::string code = frame_label(*frame);
  fix = "Look in " + code +
        " for what keeps them (a static variable, a member, a cache): release it, or give it a bound.";
  return "No Python object refers to them: C++ keeps them, and made them in " + code + ".";
}

std::string call_the_taker(const HolderReport& row) {
  if (row.unused_taker.empty()) return "";
  return "Call " + row.unused_taker +
         " when its elements have been used: it takes them out, and nothing calls it at work. ";
}

bool is_large(const Report& report, Bytes bytes) { return 20 * bytes >= peak_bytes(report); }

}  // namespace vramtrack::findings
