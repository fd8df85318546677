#include "report/holders/row_places.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "report/holders/call_lines.hpp"
#include "report/holders/cycle.hpp"
#include "report/holders/store_line.hpp"
#include "report/holders/way.hpp"
#include "report/model/sites.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::holders {

bool RowPlaces::set_place(std::uint32_t node, HolderReport& row, bool outlives) const {
  const Place place = place_of(held_, node, read_source_, row.library);
  if (place.file.empty()) return false;
  row.file = utf8::sanitise(place.file);
  if (place.line > 0) row.line = place.line;
  row.line_adds = place.adds;
  // Both names: the one that it has by now, and that of the statement.
  if (!place.variable.empty()) row.variable += " (" + utf8::sanitise(place.variable) + ")";
  if (!place.taker.empty())
    row.unused_taker =
        "`" + utf8::sanitise(place.taker) + "` (" + vramtrack::place(row.file.value_or(""), place.taker_line) + ")";
  if (place.by_key && outlives) {
    row.fix =
        "Some of its elements are taken out and others never: let each go whatever happens in between, also when an "
        "error does (`try: ... finally:`).";
    return false;
  }
  if (place.limited && row.verdict == "growing" && !row.garbage) {
    row.limited = true;
    row.verdict = "steady";
    row.evidence = "the code takes elements out of it again: " + row.evidence;
  }
  return place.limited;
}

const KnownHolder* RowPlaces::known_below(std::uint32_t node, std::uint32_t& at) const {
  constexpr std::size_t samples = 32;
  std::map<const KnownHolder*, std::pair<std::size_t, std::uint32_t>> found;
  std::size_t seen = 0;
  const std::size_t apart = std::max<std::size_t>(held_.retained_count[node] / samples, 1);
  tree_.each_storage(node, [&](std::uint32_t storage) {
    if (seen++ % apart != 0) return;
    auto& [count, last] = found[known_holder(steps_to(held_, storage))];
    ++count;
    last = storage;
  });
  for (const auto& [known, counted] : found) {
    if (known == nullptr || 4 * counted.first * apart < 3 * seen || calls_that_hand_over(*known).empty()) continue;
    at = counted.second;
    return known;
  }
  return nullptr;
}

void RowPlaces::set_call(const KnownHolder& known, std::uint32_t node, HolderReport& row) const {
  const std::string_view functions = calls_that_hand_over(known);
  if (functions.empty()) return;
  for (const std::string& file : files_of(node, row)) {
    const int line = line_of_call(read_source_(file), functions);
    if (line == 0) continue;
    row.file = utf8::sanitise(file);
    row.line = line;
    row.line_adds = row.line_calls = true;
    return;
  }
}

std::vector<std::string> RowPlaces::files_of(std::uint32_t node, const HolderReport& row) const {
  constexpr std::size_t most_nodes = 200, most_files = 8;
  std::vector<std::string> files;
  if (std::string file = file_of_births(row); !file.empty()) files.push_back(std::move(file));
  const auto add = [&](std::uint32_t at) {
    if (files.size() == most_files || !held_.has(at, trace::graph_user_code)) return;
    const std::string& file = held_.text(held_.node(at).file);
    if (!file.empty() && std::ranges::find(files, file) == files.end()) files.push_back(file);
  };
  for (const std::uint32_t at : way_to(held_, node)) add(at);
  std::vector<std::uint32_t> nodes{node};
  for (std::size_t i = 0; i < nodes.size() && i < most_nodes; ++i) {
    add(nodes[i]);
    for (const std::uint32_t part : held_.successors.of(nodes[i]))
      if (nodes.size() < most_nodes) nodes.push_back(part);
  }
  return files;
}

void RowPlaces::set_cycle(std::uint32_t node, HolderReport& row) const {
  if (held_.is_node(node) && !held_.has(node, trace::graph_user_code)) row.library = held_.text(held_.node(node).file);
  const Cycle cycle = describe_cycle(held_, node, row.verdict == "growing");
  if (cycle.text.empty()) return;
  row.cycle = utf8::sanitise(cycle.text);
  row.variable = utf8::sanitise(cycle.variable);
  row.kind = "attribute";
  const HoldingStep step[] = {cycle.step};
  if (const KnownHolder* known = known_holder(step)) {
    row.known = known->what;
    row.fix = known->fix;
  }
  const std::string file = cycle.file.empty() ? file_of_births(row) : cycle.file;
  if (file.empty()) return;
  const std::string& source = read_source_(file);
  const StoreLine found = store_line(source, {cycle.name, cycle.of_class, cycle.function, 0, cycle.object, nullptr});
  const int called = cycle.search.empty() ? 0 : line_with(source, cycle.search);
  const int line = called != 0 ? called : found.line;
  if (line == 0) return;
  row.file = utf8::sanitise(file);
  row.line = line;
  row.line_adds = true;
  row.line_calls = row.verdict == "growing" && !cycle.object && called == 0 && found.grows;  // it fills what grew
}

std::string RowPlaces::file_of_births(const HolderReport& row) const {
  for (const SiteId site : row.sites)
    if (std::string file = file_of_site_(site); !file.empty()) return file;
  return "";
}

}  // namespace vramtrack::holders
