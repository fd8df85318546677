#include "report/compare/merged_names.hpp"

#include <algorithm>

namespace vramtrack {
namespace {

constexpr std::size_t most_of_a_kind = 1000;

void move_by(Mark& mark, double seconds) { mark.time += seconds; }
void move_by(Phase& phase, double seconds) {
  phase.begin += seconds;
  if (phase.end) *phase.end += seconds;
}

void join(Mark& all, const Mark& mark) {
  all.time = std::min(all.time, mark.time);
  all.live_bytes = all.live_bytes && mark.live_bytes ? std::optional(*all.live_bytes + *mark.live_bytes) : std::nullopt;
}
void join(Phase& all, const Phase& phase) {
  all.begin = std::min(all.begin, phase.begin);
  all.end = all.end && phase.end ? std::optional(std::max(*all.end, *phase.end)) : std::nullopt;
}

template <class Named>
void add_to(MergedNames::Known<Named>& known, const std::vector<Named>& of_process, const std::string& rank,
            double offset) {
  std::map<std::string, std::size_t> seen;
  for (Named named : of_process) {
    move_by(named, offset);
    named.ranks = {rank};
    const auto [at, fresh] = known.emplace(MergedNames::Key{named.name, seen[named.name]++}, named);
    if (fresh) continue;
    join(at->second, named);
    if (at->second.ranks.back() != rank) at->second.ranks.push_back(rank);
  }
}

template <class Named>
std::vector<Named> in_order(const MergedNames::Known<Named>& known, double Named::*time, double start) {
  std::vector<Named> all;
  for (const auto& [key, named] : known) all.push_back(named);
  std::ranges::stable_sort(all, {}, time);
  if (all.size() > most_of_a_kind) all.resize(most_of_a_kind);
  for (Named& named : all) move_by(named, -start);
  return all;
}

}  // namespace

void MergedNames::add(const Report& report, const std::string& rank, double offset) {
  add_to(marks_, report.marks, rank, offset);
  add_to(phases_, report.phases, rank, offset);
}

void MergedNames::finish(Report& merged, double start) const {
  merged.marks = in_order(marks_, &Mark::time, start);
  merged.phases = in_order(phases_, &Phase::begin, start);
}

}  // namespace vramtrack
