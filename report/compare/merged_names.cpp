#include "report/compare/merged_names.hpp"

#include <algorithm>

namespace vramtrack {
namespace {

constexpr std::size_t most_of_a_kind = 1000;

template <class Named>
std::vector<Named> in_order(const std::map<std::pair<std::string, std::size_t>, Named>& all, double Named::*time) {
  std::vector<Named> found;
  for (const auto& [key, one] : all) found.push_back(one);
  std::ranges::stable_sort(found, {}, time);
  if (found.size() > most_of_a_kind) found.resize(most_of_a_kind);
  return found;
}

}  // namespace

void MergedNames::add(const Report& report, const std::string& rank, double offset) {
  std::map<std::string, std::size_t> seen;
  for (Mark mark : report.marks) {
    mark.time += offset;
    mark.ranks = {rank};
    const auto [at, fresh] = m_marks.emplace(Key{mark.name, seen[mark.name]++}, mark);
    if (fresh) continue;
    Mark& all = at->second;
    all.time = std::min(all.time, mark.time);
    all.live_bytes =
        all.live_bytes && mark.live_bytes ? std::optional(*all.live_bytes + *mark.live_bytes) : std::nullopt;
    if (all.ranks.back() != rank) all.ranks.push_back(rank);
  }
  seen.clear();
  for (Phase phase : report.phases) {
    phase.begin += offset;
    if (phase.end) *phase.end += offset;
    phase.ranks = {rank};
    const auto [at, fresh] = m_phases.emplace(Key{phase.name, seen[phase.name]++}, phase);
    if (fresh) continue;
    Phase& all = at->second;
    all.begin = std::min(all.begin, phase.begin);
    all.end = all.end && phase.end ? std::optional(std::max(*all.end, *phase.end)) : std::nullopt;
    if (all.ranks.back() != rank) all.ranks.push_back(rank);
  }
}

void MergedNames::finish(Report& merged, double start) const {
  merged.marks = in_order(m_marks, &Mark::time);
  for (Mark& mark : merged.marks) mark.time -= start;
  merged.phases = in_order(m_phases, &Phase::begin);
  for (Phase& phase : merged.phases) {
    phase.begin -= start;
    if (phase.end) *phase.end -= start;
  }
}

}  // namespace vramtrack
