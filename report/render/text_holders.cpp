// "Who holds it": the top of the tree of holders, and the words for a report without a problem.
#include <algorithm>
#include <map>

#include "report/model/sites.hpp"
#include "report/render/text_page.hpp"
#include "report/support/units.hpp"

namespace vramtrack::render {
namespace {

constexpr std::size_t most_lines = 10, most_below = 3, most_depth = 2;

/// What others hold, too: letting go of the row alone returns so much less.
struct Shared {
  Bytes bytes = 0;
  std::string by;  // one of them
};

/// A row's place is its id.
struct Rows {
  std::vector<HolderReport> all;
  std::map<HolderId, Shared> shared;
};

std::string line_of(const HolderReport& row, const Rows& rows, std::size_t depth) {
  std::string bytes = human_bytes(row.retained_bytes);
  bytes.insert(0, bytes.size() < 10 ? 10 - bytes.size() : 0, ' ');
  std::string text = bytes + "  " + std::string(2 * depth, ' ') + row.path;
  if (row.garbage && !row.cycle.empty()) text = bytes + "  " + std::string(2 * depth, ' ') + "a cycle: " + row.variable;
  text += "  (" + (row.type.empty() ? "" : row.type + ", ") + plural(row.blocks, "block") +
          (row.verdict == "growing" ? ", growing" : "");
  if (const auto part = rows.shared.find(row.id); part != rows.shared.end())
    text += ", " + human_bytes(part->second.bytes) + " also held by " + part->second.by;
  text += ")";
  if (row.file && row.line) text += "  " + std::string(file_name(*row.file)) + ":" + std::to_string(*row.line);
  return text;
}

/// An optimizer always holds the parameters of its model: not worth a word.
bool is_shared_on_purpose(const HolderReport& row) {
  Bytes of_model = 0;
  for (const char* role : {"parameter", "buffer", "gradient"})
    if (const auto at = row.roles.find(role); at != row.roles.end()) of_model += at->second;
  return 2 * of_model > row.retained_bytes;
}

/// The rows, those of one name joined: a model has rows of its own for what others hold with it, too.
Rows joined(const std::vector<HolderReport>& all) {
  Rows result;
  auto& [rows, shared] = result;
  std::vector<HolderId> place(all.size());  // by id
  std::map<std::pair<std::optional<HolderId>, std::string>, HolderId> known;
  for (const HolderReport& row : all) {
    std::optional<HolderId> parent = row.parent;
    if (parent && *parent < place.size()) parent = place[*parent];
    const auto [at, added] = known.try_emplace({parent, row.path}, HolderId(rows.size()));
    if (row.id < place.size()) place[row.id] = at->second;
    if (!row.parent && !row.also_held_by.empty() && !is_shared_on_purpose(row)) {
      const auto by = std::ranges::find(all, row.also_held_by.front(), &HolderReport::id);
      Shared& part = shared[at->second];
      part.bytes += row.retained_bytes;
      if (by != all.end() && part.by.empty()) part.by = by->path;
    }
    if (added) {
      rows.push_back(row);
      rows.back().id = at->second;
      rows.back().parent = parent;
    } else {
      join(rows[at->second], row);
    }
  }
  std::erase_if(shared, [&](const auto& part) {
    const Bytes all_of_it = result.all[part.first].retained_bytes;  // by callers of the function, for one
    return part.second.by.empty() || 20 * part.second.bytes < all_of_it || part.second.bytes == all_of_it;
  });
  return result;
}

/// Rows below `parent`, the most bytes first; those that only repeat what is above are passed over.
void write_below(const TextPage& page, const Rows& rows, Bytes held, const HolderReport* parent, std::size_t depth,
                 std::size_t& lines) {
  std::vector<const HolderReport*> below;
  for (const HolderReport& row : rows.all)
    if (row.parent == (parent ? std::optional(parent->id) : std::nullopt)) below.push_back(&row);
  std::stable_sort(below.begin(), below.end(),
                   [](const auto* a, const auto* b) { return a->retained_bytes > b->retained_bytes; });
  std::size_t shown = 0;
  for (const HolderReport* at : below) {
    const HolderReport& row = *at;
    if (lines == most_lines || (parent && shown == most_below)) return;
    if (20 * row.retained_bytes < held) continue;
    if (parent && row.retained_bytes == parent->retained_bytes && row.own_bytes == 0) {
      write_below(page, rows, held, &row, depth, lines);
      continue;
    }
    ++shown;
    ++lines;
    page.out << cut_end(utf8::printable(line_of(row, rows, depth)), page.width) << '\n';
    if (depth < most_depth) write_below(page, rows, held, &row, depth + 1, lines);
  }
}

/// Whether it took a part of what was allocated from the first half of the run to its end, and let none go. Not enough
/// to call it a leak: a model or a data set that is loaded does the same.
bool went_on_filling(const Report& report, const HolderReport& row) {
  constexpr std::uint64_t few = 10;
  if (row.parent || row.blocks < few || row.limited || row.verdict == "recent") return false;
  if (2 * model_bytes(row.roles) > row.retained_bytes || 4 * row.retained_bytes < report.holders.held_bytes)
    return false;
  double first = row.first_time, last = row.last_time;
  for (const SiteReport& site : report.sites) {
    if (site.layer != "tensor") continue;
    first = std::min(first, site.first_time);
    last = std::max(last, site.last_time);
  }
  const double run = last - first;
  return row.first_time - first <= run / 2 && last - row.last_time <= run / 10;
}

/// After an error that nobody caught, all that its traceback reaches is held by that: of an out-of-memory error, the
/// moment at which it was raised says more.
const HolderMoment* moment_to_show(const Report& report) {
  const HolderMoment& last = report.holders;
  const bool by_error = std::ranges::any_of(last.rows, [&](const HolderReport& row) {
    return !row.parent && row.path.starts_with("sys.last_") && 20 * row.retained_bytes >= last.held_bytes;
  });
  if (report.at != "exit" || !by_error) return &last;
  const std::uint32_t told = told_oom(report);
  for (const HolderMoment& moment : report.moments)
    if (told != 0 && moment.oom == told && !moment.rows.empty()) return &moment;
  return &last;
}

/// A look that saw most of what ever was, or one on the way there.
std::string when_of(const Report& report, const HolderMoment& moment) {
  if (2 * moment.held_bytes >= peak_bytes(report)) return "when most was alive";
  return moment.step > 0 ? "at step " + std::to_string(moment.step) : "at " + human_duration(moment.time);
}

}  // namespace

bool holds_more_and_more(const Report& report) {
  for (const SiteReport& site : report.sites)
    if (site.verdict == "growing" && is_main_layer(report, site)) return true;
  for (const HolderReport& row : report.holders.rows)
    if ((row.verdict == "growing" && !row.limited) || went_on_filling(report, row)) return true;
  return false;
}

void write_holders(const TextPage& page) {
  const HolderMoment& moment = *moment_to_show(page.report);
  if (moment.rows.empty()) return;
  const std::string heading = &moment != &page.report.holders ? "Who held it, when memory ran out"
                              : moment.moment != "look"       ? "Who holds it"
                                                              : "Who held it, " + when_of(page.report, moment);
  page.out << '\n' << page.styled(style::bold, heading) << '\n';
  std::size_t lines = 0;
  write_below(page, joined(moment.rows), moment.held_bytes, nullptr, 0, lines);
}

}  // namespace vramtrack::render
