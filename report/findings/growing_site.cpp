// A container or a site whose tensors (without a graph) become more with every step and are never let go.
// Evidence: the site's survivors were born over many steps (verdict), or a holder's length grew from look to look
// until the end. Bounded containers, and growth that ended, are innocent.
#include <algorithm>
#include <map>
#include <set>

#include "report/agent_facts.hpp"
#include "report/findings/registry.hpp"
#include "report/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

bool keeps_graphs(const Holder& holder) { return holder.graphs * 2 > holder.count && holder.steps >= 3; }

/// `errors` of `__main__.trainer.errors[].image`: the attribute or variable whose elements are many.
std::string container(const std::string& chain) {
  const std::string whole = chain.substr(0, chain.find("[]"));
  const std::size_t name = whole.find_last_of(". ");
  return name == std::string::npos ? whole : whole.substr(name + 1);
}

/// Length per step, or 0 when it does not grow throughout.
double pace(const std::vector<Holder>& seen) {
  // Two observations suffice when it had one for nearly every step from the start.
  if (seen.size() < 2 || seen.back().bound != 0) return 0;
  if (seen.size() == 2 && (seen[0].count * 3 < seen[0].step * 2 || seen[0].step < 4)) return 0;
  for (std::size_t i = 1; i < seen.size(); ++i)
    if (seen[i].count < seen[i - 1].count || (seen[i].step > seen[i - 1].step && seen[i].count == seen[i - 1].count))
      return 0;
  const double steps = static_cast<double>(seen.back().step) - seen.front().step;
  return steps <= 0 ? 0 : static_cast<double>(seen.back().count - seen.front().count) / steps;
}

/// Observations in different steps only, last of each.
std::vector<Holder> by_step(const std::vector<Holder>& seen) {
  std::vector<Holder> result;
  for (const Holder& holder : seen) {
    if (!result.empty() && result.back().step == holder.step)
      result.back() = holder;
    else
      result.push_back(holder);
  }
  return result;
}

Finding describe(const Holder& last, double tensors_per_step, Bytes bytes_per_step) {
  Finding finding = make("growing-site", "warning", "`" + last.variable + "` holds more tensors after every step");
  finding.file = last.file;
  if (last.line > 0) finding.line = last.line;
  finding.variable = last.variable;
  finding.bytes = last.bytes;
  finding.message = "`" + last.variable + "` (" + kind_of_variable(last) + ", " + place(last.file, last.line) +
                    ") held " + plural(last.count, "tensor") + " of " + human_bytes(last.bytes) +
                    " and went on growing" +
                    (bytes_per_step != 0 ? " by " + human_bytes(bytes_per_step) + " a step" : "") +
                    ". GPU memory is returned only when nothing refers to a tensor any more.";
  finding.fix =
      "Keep what you need later and nothing else: a number (`.item()`), a copy in host memory (`.cpu()`), or a "
      "container "
      "of fixed size (`collections.deque(maxlen=...)`).";
  finding.evidence = {{"tensors", last.count},
                      {"tensors_per_step", tensors_per_step},
                      {"bytes_per_step", bytes_per_step},
                      {"observed_at_step", last.step},
                      {"holder", last.chain}};
  explain_exceptions(finding, last);
  return finding;
}

void from_holders(const Report& report, Findings& found, std::set<std::string>& told) {
  for (const std::vector<Holder>& all : holders_by_variable(report)) {
    const std::vector<Holder> seen = by_step(all);
    const Holder& last = seen.back();
    if (keeps_graphs(last) || last.count < 5 || last.bytes == 0) continue;
    const double growth = pace(seen);
    if (report.steps > 0) {
      if (growth < 0.1 || last.count < last.step / 20) continue;
      if (!last.at_end && (last.step * 2 + 1 < report.steps || !growth_went_on(report, last.step))) continue;
      if (last.at_end && seen.size() >= 2) {  // it must have grown after the last look on the way, too
        const Holder& before = seen[seen.size() - 2];
        const double late = static_cast<double>(last.count - before.count) /
                            std::max(1.0, static_cast<double>(last.step) - before.step);
        if (last.step > before.step + 4 && late < growth / 4) continue;
      }
    } else {
      // No step clock: it must have grown at every look and be most of what was alive at the highest one.
      if (all.size() < 4 || last.bound != 0) continue;
      bool grew = true;
      for (std::size_t i = 1; i < all.size(); ++i) grew = grew && all[i].count > all[i - 1].count;
      const Holder& highest = all.back().at_end ? all[all.size() - 2] : all.back();
      if (!grew || highest.live < peak_bytes(report) * 7 / 10 || highest.bytes * 2 < highest.live) continue;
    }
    const auto per_step =
        static_cast<Bytes>(growth * static_cast<double>(last.bytes) / static_cast<double>(last.count));
    found.push_back(describe(last, growth, per_step));
    for (const Holder& one : seen) told.insert(one.chains.begin(), one.chains.end());
    told.insert(container(last.variable));
  }
}

/// Sites that survive in growing numbers without a holder that was seen to grow: C++ owners, libraries, no agent.
void from_sites(const Report& report, Findings& found, const std::set<std::string>& told) {
  std::set<std::string> known = told;
  for (const std::vector<Holder>& all : holders_by_variable(report))
    if (keeps_graphs(all.back()))
      known.insert(all.back().chains.begin(), all.back().chains.end());  // history-accumulation speaks of it
  const std::map<std::uint32_t, std::string> holders = main_holders(report);
  std::size_t added = 0;
  for (const SiteReport& site : report.sites) {
    if (site.verdict != "growing" || !is_main_layer(report, site) || added == 5) continue;
    const auto holder = holders.find(site.id);
    if (holder != holders.end() && (known.contains(holder->second) || known.contains(container(holder->second))))
      continue;
    const bool held_in_c = holder == holders.end() || holder->second == "autograd graph";
    if (held_in_c && !known.empty()) continue;  // most likely the same leak's C++ side
    Finding finding = make("growing-site", "warning", "Memory from one place grows with every step");
    finding.site = site.id;
    finding.bytes = site.live_bytes;
    if (const auto frame = own_frame(report, site)) {
      finding.file = report.frames[*frame].file;
      if (report.frames[*frame].line > 0) finding.line = report.frames[*frame].line;
    }
    if (holder != holders.end()) {
      finding.variable = holder->second.substr(0, holder->second.find("[]"));
      finding.evidence["holder"] = holder->second;
      known.insert(container(holder->second));
    }
    finding.message =
        plural(site.live_count, "block") + " of " + human_bytes(site.live_bytes) + " allocated at " +
        (finding.file ? place(*finding.file, finding.line.value_or(0)) : std::string("an unknown place")) +
        " are still alive" + (finding.variable ? ", held by `" + *finding.variable + "`" : std::string()) + ". " +
        site.evidence;
    finding.fix = "Find what keeps them: the holder above, or an object of a library. Release it or give it a bound.";
    finding.evidence["blocks"] = site.live_count;
    finding.evidence["steps_spanned"] = site.growth.steps_spanned;
    if (site.growth.bytes_per_step) finding.evidence["bytes_per_step"] = *site.growth.bytes_per_step;
    found.push_back(std::move(finding));
    ++added;
  }
}

}  // namespace

Findings growing_site(const Report& report) {
  Findings found;
  std::set<std::string> told;
  from_holders(report, found, told);
  from_sites(report, found, told);
  return found;
}

}  // namespace vramtrack::findings
