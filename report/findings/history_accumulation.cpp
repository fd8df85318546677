// A tensor that outlives its step and still carries its autograd graph, so that every step's graph stays alive.
// Evidence: the nodes of one variable's graphs come from many optimizer steps (each node's sequence number is mapped
// to a step), from an early step on, until the end. Without optimizer steps: the number of nodes and the uses of one
// parameter grow from look to look.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "report/findings/grown.hpp"
#include "report/findings/registry.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::uint64_t least_steps = 5;
constexpr std::uint64_t longest_window = 1000;  // of graphs that are kept on purpose; a replay buffer is longer

/// Graphs of few steps only (those that end an epoch, say), but of more of them in each later step that was looked at,
/// and a statement that adds to the variable.
bool grew_from_look_to_look(const std::vector<Holder>& seen) {
  for (std::size_t i = 1; i < seen.size(); ++i)
    if (seen[i].step != seen[i - 1].step && seen[i].steps <= seen[i - 1].steps) return false;
  return seen.back().grows && seen.back().step > seen.front().step;
}

/// A sum or a list that each epoch begins anew: what looks saw of the epoch that they saw most of. In it the graphs
/// began with one and the same step at three looks or more, and had nearly all steps since; then an epoch began that
/// has none of them. A window that slides loses its first steps one by one.
std::vector<Holder> longest_epoch(const std::vector<Holder>& seen) {
  constexpr std::uint64_t least_epoch = 16;  // steps
  std::size_t best = 0, best_end = 0;
  for (std::size_t begin = 0, end = 0; begin < seen.size(); begin = end) {
    for (end = begin + 1; end < seen.size() && seen[end].first_step <= seen[begin].first_step + 1; ++end) {
    }
    // A window that happens to be as long as two looks are apart has as many steps after as before.
    const bool ends = end < seen.size() && seen[end].first_step > seen[end - 1].last_step &&
                      8 * seen[end].steps < 7 * seen[end - 1].steps;
    std::set<std::uint64_t> steps;
    for (std::size_t i = begin; i < end; ++i) steps.insert(seen[i].step);
    const Holder& last = seen[end - 1];
    const bool all = 4 * last.steps >= 3 * (last.step - last.first_step);
    if (ends && steps.size() >= 3 && last.steps >= least_epoch && last.grows && all && last.bound == 0 &&
        !last.limited && (best_end == 0 || last.steps > seen[best_end - 1].steps)) {
      best = begin;
      best_end = end;
    }
  }
  using At = std::vector<Holder>::difference_type;
  return {seen.begin() + static_cast<At>(best), seen.begin() + static_cast<At>(best_end)};
}

/// A window that slides (the last k losses) has a first step that moves on; accumulation keeps its first step.
bool spans_the_run(const Report& report, const std::vector<Holder>& seen) {
  const Holder& last = seen.back();
  if (last.steps < least_steps || (last.bound != 0 && last.bound < longest_window)) return false;
  const double possible = static_cast<double>(last.step) - last.first_step;
  if (static_cast<double>(last.steps) < possible / 2 && !grew_from_look_to_look(seen)) return false;
  for (const Holder& earlier : seen)
    if (earlier.steps >= 2 && last.first_step > earlier.first_step + 2 && earlier.step != last.step) return false;
  if (seen.size() == 1 && last.first_step > last.step / 2) return false;
  // Looks go on, at doubling steps, as long as graphs reach over steps: a last look long ago means that it ended.
  return last.at_end || last.step * 2 + 1 >= report.steps.count;
}

/// `Fit.history['loss']` of `self.history['loss']` and of `fit.history['loss']`: an attribute whatever its object is
/// called.
std::string name_in_class(const Holder& holder) {
  if (holder.of_class.empty()) return holder.variable;
  const std::size_t dot = holder.variable.substr(0, holder.variable.find('[')).rfind('.');
  return holder.of_class + "." + holder.variable.substr(dot == std::string::npos ? 0 : dot + 1);
}

/// What looks saw under several names (a closure's variable while its function ran, and later by what holds the
/// function; an attribute of `self`) is one variable where one statement adds to it.
std::vector<std::vector<Holder>> joined_by_statement(std::vector<std::vector<Holder>> all) {
  std::map<std::tuple<std::string, std::string, int>, std::size_t> known;
  std::vector<std::vector<Holder>> joined;
  for (std::vector<Holder>& seen : all) {
    const Holder& last = seen.back();
    if (last.grows && last.line > 0) {
      const auto [at, added] = known.try_emplace({last.file, name_in_class(last), last.line}, joined.size());
      if (!added) {
        std::vector<Holder>& one = joined[at->second];
        one.insert(one.end(), seen.begin(), seen.end());
        std::ranges::stable_sort(one, [](const Holder& a, const Holder& b) {
          return std::pair(a.look, a.nodes) < std::pair(b.look, b.nodes);
        });
        for (std::size_t i = one.size(); i-- > 1;)  // of one look the name with the larger graph
          if (one[i - 1].look == one[i].look) one.erase(one.begin() + static_cast<std::ptrdiff_t>(i) - 1);
        continue;
      }
    }
    joined.push_back(std::move(seen));
  }
  return joined;
}

bool grows_without_steps(const Report& report, const std::vector<Holder>& seen) {
  if (report.steps.count != 0 || seen.size() < 3) return false;
  for (std::size_t i = 1; i < seen.size(); ++i)
    if (seen[i].nodes <= seen[i - 1].nodes || seen[i].uses < seen[i - 1].uses) return false;
  return seen.back().uses >= 8 && seen.back().uses > seen.front().uses && seen.back().bound == 0;
}

/// Where nothing is ever learned, no graph is wanted at all.
void advise_no_graph(const Report& report, Finding& finding) {
  if (ran_backward(report)) return;
  finding.fix = std::string(without_graph) + ". Else: " + finding.fix;
}

/// `params` of `params['0.weight'].grad_fn`: what carries the graph on.
std::string carrier(std::string name) {
  name.resize(std::min(name.size(), name.find(".grad_fn")));
  name.resize(std::min(name.size(), name.find('[')));
  return name;
}

/// What a variable of that name keeps with its graphs, as the graph of who holds whom shows it.
Bytes retained_by(const Report& report, const Holder& holder) {
  Bytes most = 0;
  for (const HolderMoment& moment : report.moments)
    for (const HolderReport& row : moment.rows)
      if (row.file == holder.file && carrier(row.variable) == carrier(holder.variable))
        most = std::max(most, row.retained_bytes);
  return most;
}

Finding describe(const Report& report, const Holder& last, bool with_steps) {
  Finding finding = make("history-accumulation", "warning",
                         "`" + last.variable + "` keeps the autograd graph of every " + (with_steps ? "step" : "pass"));
  finding.file = last.file;
  if (last.line > 0) finding.line = last.line;
  finding.variable = last.variable;
  finding.bytes = std::max(last.bytes, retained_by(report, last));
  // What is added behind the last step's end belongs to no step of its own.
  const std::uint64_t spanned = std::min<std::uint64_t>(last.steps, std::max<std::uint64_t>(last.step, 1));
  const double times = static_cast<double>(with_steps ? spanned : last.uses);
  const auto nodes_each = whole(static_cast<double>(last.nodes) / times);
  finding.message =
      "`" + last.variable + "` (" + kind_of_variable(last) + ") keeps the autograd graph of " +
      (with_steps ? std::to_string(spanned) + " steps" : "one pass after the other") +
      " alive: " + human_count(last.nodes) + " graph nodes, " +
      (with_steps ? "about " + std::to_string(nodes_each) + " for each"
                  : "which use one tensor " + human_count(last.uses) + " times") +
      ", in " + plural(last.count, "tensor") +
      (last.bytes != 0 ? " of " + human_bytes(last.bytes) : " in host memory") + ", and all that those nodes hold" +
      (finding.bytes > last.bytes ? ", " + human_bytes(finding.bytes) + " in all. " : ". ") +
      (last.bytes <= sizeof(double) * last.count ? "A value kept for statistics does not need its history."
                                                 : "What outlives its step does not need its history.");
  finding.fix = last.count > 1 ? "Store numbers or detached tensors: `.item()` or `float(...)` for a scalar, "
                                 "`.detach()` (and `.cpu()`) otherwise."
                : last.grows && last.bytes <= sizeof(double)
                    ? "Add the number, not the tensor: `" + last.variable + " += loss.item()`, or `.detach()` it first."
                    : "Detach what is carried over to the next " + std::string(with_steps ? "step" : "pass") +
                          ": `.detach()` it, or `.item()` where a number will do.";
  finding.evidence = {{"steps_spanned", spanned},    {"first_step", last.first_step}, {"last_step", last.last_step},
                      {"graph_nodes", last.nodes},   {"nodes_per_step", nodes_each},  {"tensors", last.count},
                      {"parameter_uses", last.uses}, {"observed_at_step", last.step}, {"holder", last.chain}};
  explain_exceptions(finding, last);
  advise_no_graph(report, finding);
  return finding;
}

/// Memory that hangs on autograd graphs and grew, as the graph of who holds whom shows it: no look saw the variable.
Finding describe(const Report& report, const Grown& grown) {
  const HolderReport& row = *grown.row;
  const bool by_step = row.bytes_per_step.value_or(0) > 0;
  const std::string variable = carrier(row.variable);
  Finding finding = make("history-accumulation", "warning",
                         "`" + variable + "` keeps the autograd graph of every " + (by_step ? "step" : "pass"));
  finding.variable = variable;
  finding.bytes = row.retained_bytes;
  const SiteReport* site = main_site(report, row);
  if (site != nullptr) finding.site = site->id;
  if (row.line_adds || site == nullptr || point_at(finding, report, *site) == nullptr) {
    finding.file = row.file;
    finding.line = row.line;
  }
  finding.message = "`" + variable + "` (" + row.type + ", `" + row.path + "`) keeps " +
                    human_bytes(row.retained_bytes) + " alive, " + human_bytes(row.graph_bytes) +
                    " of it saved for backward by autograd graphs that reach back over the whole run: " + row.evidence +
                    "." + held_also(*grown.moment, row);
  finding.fix = "Detach what is carried over to the next " + std::string(by_step ? "step" : "pass") +
                ": `.detach()` it, or `.item()` where a number will do.";
  finding.evidence = {{"holder", row.path},
                      {"retained_bytes", row.retained_bytes},
                      {"graph_bytes", row.graph_bytes},
                      {"blocks", row.blocks},
                      {"seen_at", grown.moment->moment}};
  advise_no_graph(report, finding);
  return finding;
}

/// What no statement of the file fills, and the graph of who holds whom shows to grow without the graphs (the calls
/// that a mock remembers, the records in a buffer of a log handler): growing-site speaks of it.
bool is_told_by_holder(const std::vector<Grown>& grown, const Holder& holder) {
  return !holder.grows && std::ranges::any_of(grown, [&](const Grown& one) {
    if (one.of_graph) return false;
    const std::string& name = one.row->variable;
    if (holder.line <= 0) return one.row->file == holder.file && name == holder.variable;
    return one.place->line_adds && name.starts_with(holder.variable + ".");
  });
}

/// Where no statement adds to the variable itself, its elements have it (`data.hidden = ...`, for each of a list):
/// where the part of it that grew was made.
void point_at_part(const Report& report, const std::vector<Grown>& grown, const Holder& holder, Finding& finding) {
  if (holder.grows || holder.count < 2) return;
  const std::string path = holder.chain.substr(0, holder.chain.find('['));
  for (const Grown& one : grown) {
    if (path.empty() || !one.row->path.starts_with(path + "[")) continue;
    if (const SiteReport* site = main_site(report, *one.row)) point_at(finding, report, *site);
    return;
  }
}

}  // namespace

Findings history_accumulation(const Report& report) {
  struct Guilty {
    Holder last;
    bool with_steps;
  };
  std::vector<Guilty> guilty;
  std::vector<std::vector<Holder>> observed = holders_by_variable(report);
  if (report.steps.count == 0) observed = joined_by_statement(std::move(observed));
  for (std::vector<Holder>& seen : observed) {
    std::erase_if(seen, [](const Holder& holder) { return holder.graphs == 0; });
    if (seen.empty()) continue;
    if (spans_the_run(report, seen))
      guilty.push_back({seen.back(), true});
    else if (const std::vector<Holder> epoch = longest_epoch(seen); report.steps.count > 0 && !epoch.empty())
      guilty.push_back({epoch.back(), true});
    else if (grows_without_steps(report, seen))
      guilty.push_back({seen.back(), false});
  }
  // One accumulation is often reachable by several names (`self.total` and a `total` computed from it, a global and
  // the local that refers to it): the one that a statement adds to is the cause; of equals, one per file and line.
  const bool any_grows = std::any_of(guilty.begin(), guilty.end(), [](const Guilty& g) { return g.last.grows; });
  std::stable_sort(guilty.begin(), guilty.end(), [](const Guilty& a, const Guilty& b) {
    return std::pair(a.last.steps, a.last.at_end) > std::pair(b.last.steps, b.last.at_end);
  });
  std::set<std::pair<std::string, int>> reported;
  const std::vector<Grown> grown_rows = grown_holders(report);
  Findings found;
  for (const Guilty& g : guilty) {
    if (any_grows && !g.last.grows) continue;
    if (is_told_by_holder(grown_rows, g.last)) continue;
    if (!g.with_steps && is_put_together(report, g.last.variable)) continue;
    if (!reported.insert({g.last.file, g.last.line}).second) continue;
    // What one pass hands to the next is an argument of a function that runs, too.
    const auto is_same = [&](const Finding& other) {
      return other.variable == g.last.variable && other.file == g.last.file;
    };
    if (!g.with_steps && std::ranges::any_of(found, is_same)) continue;
    found.push_back(describe(report, g.last, g.with_steps));
    point_at_part(report, grown_rows, g.last, found.back());
    if (found.size() == 5) break;
  }
  if (!found.empty()) return found;
  for (const Grown& grown : grown_rows) {
    if (!grown.of_graph || found.size() == 5) continue;
    Finding finding = describe(report, grown);
    const auto same = std::ranges::find_if(found, [&](const Finding& other) {  // another element of the same variable
      return other.variable == finding.variable && other.file == finding.file;
    });
    if (same == found.end())
      found.push_back(std::move(finding));
    else
      same->bytes += finding.bytes;
  }
  return found;
}

}  // namespace vramtrack::findings
