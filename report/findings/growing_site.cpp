// A container or a site whose tensors (without a graph) become more with every step and are never let go.
// Evidence: the site's survivors were born over many steps (verdict), or a holder's length grew from look to look
// until the end. Bounded containers, and growth that ended, are innocent. Without a step clock a loop, a pass over the
// layers of a model and the loading of data look alike in time: only a container says which it was.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "report/analysis/agent_facts.hpp"
#include "report/findings/grown.hpp"
#include "report/findings/registry.hpp"
#include "report/findings/views.hpp"
#include "report/holders/known_holders.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::uint64_t few_numbers = 128;  // on the device are no leak: a loss of each step, say, that was detached

/// Whether a site made single numbers, and few.
bool are_few_numbers(const Report& report, const SiteReport& site) {
  if (site.live_count >= few_numbers) return false;  // before a look at each block
  const auto numbers = std::ranges::count_if(report.allocations, [&](const AllocationReport& block) {
    return block.site == site.id && block.tensor && block.tensor->shape.empty() && !block.tensor->dtype.empty();
  });
  return static_cast<std::uint64_t>(numbers) == site.live_count;
}

/// The container (`__main__.outputs[]`) that holds three quarters or more of the site's tensors, or "".
std::string container_of(const Report& report, const SiteReport& site) {
  std::map<std::string, std::uint64_t> elements;
  std::uint64_t all = 0;  // that are listed
  for (const AllocationReport& allocation : report.allocations) {
    if (allocation.site != site.id) continue;
    ++all;
    if (allocation.tensor) ++elements[blank_indices(allocation.tensor->holder)];
  }
  for (const auto& [chain, count] : elements)
    if (chain.find("[]") != std::string::npos && 4 * count >= 3 * all) return chain;
  return "";
}

bool judged_by_time(const SiteReport& site) { return !site.growth.bytes_per_step; }

/// Chains of the containers of those sites that grew while the run went on, judged by time.
std::set<std::string> containers_that_grew(const Report& report) {
  std::set<std::string> result;
  for (const SiteReport& site : report.sites)
    if (site.verdict == "growing" && judged_by_time(site) && site.live_bytes >= worth_telling)
      result.insert(container_of(report, site));
  return result;
}

bool keeps_graphs(const Holder& holder) { return holder.graphs * 2 > holder.count && holder.steps >= 3; }

/// `errors` of `__main__.trainer.errors[].image`: the attribute or variable whose elements are many.
std::string container(const std::string& chain) {
  const std::string whole = chain.substr(0, chain.find("[]"));
  const std::size_t name = whole.find_last_of(". ");
  return name == std::string::npos ? whole : whole.substr(name + 1);
}

/// Whether nothing came between two looks, for longer than a round of a program that adds several at a time takes, or
/// at the end.
bool paused(const std::vector<Holder>& seen, std::size_t at) {
  const std::uint64_t steps = seen[at].step - seen[at - 1].step;
  if (seen[at].count != seen[at - 1].count || steps <= 1) return false;
  return at + 1 == seen.size() || 4 * steps > seen.back().step;
}

/// Length per step, or 0 when it does not grow throughout.
double pace(const std::vector<Holder>& seen) {
  if (seen.size() < 2 || is_bounded(seen.back())) return 0;
  int rises = 0;
  for (std::size_t i = 1; i < seen.size(); ++i) {
    if (seen[i].count < seen[i - 1].count || paused(seen, i)) return 0;
    rises += seen[i].count > seen[i - 1].count;
  }
  // One rise suffices when it had a tensor for nearly every step from the start. Else it may be a tensor that another
  // look found in a frame first.
  if (rises < 2 && (seen[0].count * 3 < seen[0].step * 2 || seen[0].step < 4)) return 0;
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
  Finding finding = make("growing-site", "warning",
                         "`" + last.variable + "` holds more " + (last.count == 1 ? "memory" : "tensors") +
                             (bytes_per_step != 0 ? " after every step" : " the longer the program runs"));
  finding.file = last.file;
  if (last.line > 0) finding.line = last.line;
  finding.variable = last.variable;
  finding.bytes = last.bytes;
  finding.message = "`" + last.variable + "` (" + kind_of_variable(last) + ") held " + plural(last.count, "tensor") +
                    " of " + human_bytes(last.bytes) + " and went on growing" +
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

/// Whether a name of the graph is what a look saw as `variable`: `Metric.preds` as `metric.preds`.
bool is_attribute_of(const std::string& name, const Holder& holder) {
  return !holder.of_class.empty() && name == holder.of_class + "." + container(holder.variable);
}

/// What the code calls it. An object that has lost its own name by the end is called as a look before saw it.
std::string name_in_code(const Grown& grown, const std::vector<std::vector<Holder>>& holders) {
  std::string name = name_of(*grown.moment, *grown.row), text;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find(" / ", at), name.size());
    std::string part = name.substr(at, end - at);
    for (const std::vector<Holder>& seen : holders)
      if (grown.row->garbage && is_attribute_of(part, seen.back())) part = seen.back().variable;
    text += (text.empty() ? "" : " / ") + part;
    at = end + 3;
  }
  return text;
}

/// Whether a row of the graph of who holds whom is of the variable that looks saw, or of a part of it.
bool is_same(const Grown& grown, const Holder& holder) {
  const HolderReport& row = *grown.row;
  if (grown.of_graph) return false;
  if (holder.line > 0 && row.file == holder.file && row.line == holder.line) return true;
  const std::string name = " / " + name_of(*grown.moment, row) + " / ";
  return name.find("." + container(holder.variable) + " / ") != std::string::npos ||
         name.find(" / " + holder.variable + " / ") != std::string::npos ||
         name.find(" / " + holder.variable + ".") != std::string::npos;
}

/// The same variable as the graph shows it, one whose statement is known before any other; or nullptr.
const Grown* in_graph(const std::vector<Grown>& all, const Holder& holder) {
  const Grown* found = nullptr;
  for (const Grown& grown : all) {
    if (!is_same(grown, holder)) continue;
    if (grown.row->line_adds) return &grown;
    if (found == nullptr) found = &grown;
  }
  return found;
}

/// What to do about a holder that nothing more is known of.
std::string fix_for(const HolderReport& row) {
  if (row.blocks == 1 && row.type.ends_with("Tensor"))  // that becomes longer
    return "Let it have a fixed size: drop as much of it as comes in, or keep what is old in host memory (`.cpu()`).";
  if (row.kind == "module" && (row.count > 1 || 2 * model_bytes(row.roles) > row.retained_bytes))
    return "It gets parameters again and again, and keeps all: take out those that are no longer used (`del`, of an "
           "adapter `delete_adapter()` or `unload()`) before others are added.";
  const bool tensors = row.count > 1 && row.type.ends_with("Tensor");  // buffers of one module, say
  if (row.elements > 1 && !tensors && 2 * model_bytes(row.roles) > row.retained_bytes)
    return "Let go of each model, and of its optimizer, once its work is done, or keep its weights in host memory "
           "(`.cpu()`).";
  return "Keep what you need later and nothing else: a number (`.item()`), a copy in host memory (`.cpu()`), or a "
         "container of fixed size (`collections.deque(maxlen=...)`).";
}

Finding describe_grown(const Report& report, const Grown& grown, const std::string& name) {
  const HolderReport& row = *grown.row;
  const bool by_step = row.bytes_per_step.value_or(0) > 0, unheld = is_unheld(row);
  Finding finding = make("growing-site", "warning",
                         (unheld ? "C++" : "`" + name + "`") + std::string(" holds more memory ") +
                             (by_step ? "after every step" : "the longer the program runs"));
  if (!unheld) finding.variable = name;
  finding.bytes = row.retained_bytes;
  const SiteReport* site = main_site(report, row);
  if (site != nullptr) finding.site = site->id;
  // The line of a cycle is that of the reference which closes it: the container itself, or another.
  const HolderReport& at = *grown.place;
  const bool own_line = at.cycle.empty() || at.line_calls || at.path == at.variable;
  if (at.file && at.line && at.line_adds && own_line) {
    finding.file = at.file;
    finding.line = at.line;
  } else if (site == nullptr || point_at(finding, report, *site) == nullptr) {
    finding.file = row.file;
    finding.line = row.line;
  }
  if (unheld)
    finding.message = plural(row.blocks, "block") + " of " + human_bytes(row.retained_bytes) + " are alive";
  else
    finding.message = "`" + name + "`" + (row.type.empty() ? "" : " (" + row.type + ", `" + row.path + "`)") +
                      " keeps " + human_bytes(row.retained_bytes) + " in " + plural(row.blocks, "block") + " alive" +
                      (row.elements > 1 ? ", through " + plural(row.elements, "element") : "");
  finding.message += std::string(", and went on growing") +
                     (by_step ? " by " + human_bytes(static_cast<Bytes>(*row.bytes_per_step)) + " a step" : "") + ": " +
                     evidence_of(*grown.moment, row) + "." + held_also(*grown.moment, row);
  const HolderReport& known = known_in(*grown.moment, row);
  if (!known.known.empty()) finding.message += " It is " + known.known + ".";
  const Shown shown = shown_in(*grown.moment, row);
  if (shown.is_of_views()) finding.message += shown.text();
  std::string fix = call_the_taker(row) + (shown.is_of_views() ? views_fix : fix_for(row));
  if (unheld) finding.message += " " + unheld_text(report, row, fix);
  finding.fix = !known.fix.empty() ? known.fix : fix;
  if (known.fix.empty() && 10 * row.graph_bytes > row.retained_bytes)
    finding.fix += " Its history is kept, too: `.detach()` what is stored, or compute it under `torch.no_grad()`.";
  finding.evidence = {{"holder", row.path},
                      {"retained_bytes", row.retained_bytes},
                      {"blocks", row.blocks},
                      {"elements", row.elements},
                      {"bytes_per_step", row.bytes_per_step ? Json(*row.bytes_per_step) : Json(nullptr)},
                      {"seen_at", grown.moment->moment}};
  return finding;
}

/// What the holder is known for says what to do, unless that is said already.
void add_known(const Grown& grown, Finding& finding) {
  const HolderReport& known = known_in(*grown.moment, *grown.row);
  if (known.known.empty() || known.fix.empty() || finding.message.find("Exceptions hold") != std::string::npos) return;
  finding.message += " It is " + known.known + ".";
  finding.fix = known.fix;
}

void from_holders(const Report& report, const std::vector<std::vector<Holder>>& holders,
                  const std::vector<Grown>& grown, Findings& found, std::set<std::string>& reported) {
  const std::set<std::string> grew_in_time =
      report.steps.count > 0 ? std::set<std::string>() : containers_that_grew(report);
  for (const std::vector<Holder>& all : holders) {
    const std::vector<Holder> seen = by_step(all);
    const Holder& last = seen.back();
    if (keeps_graphs(last) || last.count < 5 || last.bytes == 0) continue;
    if (last.bytes <= sizeof(double) * last.count && last.count < few_numbers) continue;
    const double growth = pace(seen);
    if (report.steps.count > 0) {
      if (growth < 0.1 || last.count < last.step / 20) continue;
      if (!last.at_end && (last.step * 2 + 1 < report.steps.count || !growth_went_on(report, last.step))) continue;
      if (last.at_end && seen.size() >= 2) {  // it must have grown after the last look on the way, too
        const Holder& before = seen[seen.size() - 2];
        const double late = static_cast<double>(last.count - before.count) /
                            std::max(1.0, static_cast<double>(last.step) - before.step);
        if (last.step > before.step + 4 && late < growth / 4) continue;
      }
    } else {
      // No step clock: it must have grown at every look and be most of what was alive at the highest one, and the end
      // (unless memory ran out before) must show that it was not filled once and for all.
      if (all.size() < 4 || is_bounded(last)) continue;
      if (report.at != "oom" && std::none_of(last.chains.begin(), last.chains.end(),
                                             [&](const std::string& chain) { return grew_in_time.contains(chain); }))
        continue;
      bool grew = true;
      for (std::size_t i = 1; i < all.size(); ++i) grew = grew && all[i].count > all[i - 1].count;
      const Holder& highest = all.back().at_end ? all[all.size() - 2] : all.back();
      if (!grew || highest.live < peak_bytes(report) * 7 / 10 || highest.bytes * 2 < highest.live) continue;
    }
    const auto per_step =
        static_cast<Bytes>(growth * static_cast<double>(last.bytes) / static_cast<double>(last.count));
    const Grown* const same = in_graph(grown, last);
    const bool graph_knows = same != nullptr && (last.line <= 0 || (!last.grows && same->row->line_adds));
    if (graph_knows) continue;  // the place
    Holder whole = last;
    const bool is_part = last.variable.find("['") != std::string::npos;  // the row may be that of another part
    if (same != nullptr && !is_part && same->moment->moment != "look" && same->row->retained_bytes > last.bytes) {
      whole.bytes = same->row->retained_bytes;  // the last look was before the end
      whole.count = std::max(whole.count, same->row->blocks);
    }
    found.push_back(describe(whole, growth, per_step));
    if (same != nullptr) {
      found.back().fix.insert(0, call_the_taker(*same->row));
      add_known(*same, found.back());
    }
    // No statement adds to it: what it has became larger (`data.x = data.x.to(device)`), where that was made.
    if (const SiteReport* site = same == nullptr || last.grows ? nullptr : main_site(report, *same->row))
      point_at(found.back(), report, *site);
    for (const Holder& look : seen) reported.insert(look.chains.begin(), look.chains.end());
    reported.insert(container(last.variable));
  }
}

/// One tensor that is made anew, longer, in every step: `seen = torch.cat([seen, features])`.
void from_longer_tensors(const Report& report, const std::vector<std::vector<Holder>>& holders, Findings& found,
                         std::set<std::string>& reported) {
  if (report.steps.count == 0) return;
  for (const std::vector<Holder>& all : holders) {
    const std::vector<Holder> seen = by_step(all);
    const Holder &first = seen.front(), &last = seen.back();
    if (seen.size() < 3 || !last.grows || is_bounded(last)) continue;
    if (last.bytes < (1 << 20) || last.bytes < 4 * first.bytes) continue;
    if (!last.at_end && last.step * 10 < report.steps.count * 8) continue;  // it may have reached its size since
    bool grew = true;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      grew = grew && seen[i].count == 1 && seen[i].graphs == 0;
      grew = grew && (i == 0 || seen[i].bytes > seen[i - 1].bytes || seen[i].step == seen[i - 1].step + 1);
    }
    const Holder& before = seen[seen.size() - 2];
    const auto pace_between = [](const Holder& a, const Holder& b) {
      return static_cast<double>(b.bytes - a.bytes) / std::max(1.0, static_cast<double>(b.step) - a.step);
    };
    if (!grew || pace_between(before, last) < pace_between(first, last) / 4) continue;
    found.push_back(describe(last, 0, static_cast<Bytes>(pace_between(first, last))));
    reported.insert(container(last.variable));
  }
}

/// What the graph of who holds whom shows to pile up, as far as nobody spoke of it yet.
void from_grown(const Report& report, const std::vector<Grown>& all, const std::vector<std::vector<Holder>>& holders,
                Findings& found, std::set<std::string>& reported, std::set<SiteId>& sites) {
  std::size_t added = 0;
  for (const Grown& grown : all) {
    const HolderReport& row = *grown.row;
    const bool known =
        reported.contains(container(row.variable)) || reported.contains(blank_indices(row.path) + "[]") ||
        std::any_of(found.begin(), found.end(), [&](const Finding& finding) {
          return finding.file == grown.place->file && finding.line == grown.place->line && grown.place->line;
        });
    if (known || grown.of_graph) {
      sites.insert(row.sites.begin(), row.sites.end());
      continue;
    }
    if (added++ == 5) break;
    found.push_back(describe_grown(report, grown, name_in_code(grown, holders)));
    reported.insert(container(row.variable));
    // What something else holds, too (the keys of a table), is a row of its own under the same name.
    for (const HolderReport& other : grown.moment->rows)
      if (other.path == row.path) sites.insert(other.sites.begin(), other.sites.end());
  }
}

Finding describe_site(const Report& report, const SiteReport& site) {
  Finding finding = make("growing-site", "warning",
                         std::string("Memory from one place grows ") +
                             (judged_by_time(site) ? "the longer the program runs" : "with every step"));
  finding.site = site.id;
  finding.bytes = site.live_bytes;
  const Frame* frame = point_at(finding, report, site);
  const std::string where = frame != nullptr ? place(frame->file, frame->line) : "an unknown place";
  finding.message = plural(site.live_count, "block") + ", " + human_bytes(site.live_bytes) +
                    (site.kind == "host_pinned" ? " of pinned host memory" : " in all") + ", allocated at " + where +
                    " are still alive";
  finding.evidence["blocks"] = site.live_count;
  finding.evidence["steps_spanned"] = site.growth.steps_spanned;
  if (site.growth.bytes_per_step) finding.evidence["bytes_per_step"] = *site.growth.bytes_per_step;
  return finding;
}

/// Sites that survive in growing numbers without a holder that was seen to grow: C++ owners, libraries, no agent.
void from_sites(const Report& report, const std::vector<std::vector<Holder>>& seen, Findings& found,
                const std::set<std::string>& reported, const std::set<SiteId>& reported_sites) {
  std::set<std::string> known = reported;
  for (const std::vector<Holder>& all : seen)
    if (keeps_graphs(all.back()))
      known.insert(all.back().chains.begin(), all.back().chains.end());  // history-accumulation speaks of it
  const std::map<SiteId, std::string> holders = main_holders(report);
  std::size_t added = 0;
  for (const SiteReport& site : report.sites) {
    if (site.verdict != "growing" || !is_main_layer(report, site) || added == 5) continue;
    if (reported_sites.contains(site.id) || are_few_numbers(report, site)) continue;
    if (judged_by_time(site) && was_put_together(report, site.id)) continue;
    if (judged_by_time(site) && site.layer == "tensor" &&
        (site.live_bytes < worth_telling || container_of(report, site).empty()))
      continue;
    const auto at = holders.find(site.id);
    const std::string chain = at == holders.end() ? "" : at->second;
    if (!chain.empty() && (known.contains(chain) || known.contains(container(chain)))) continue;
    const bool held_in_c = chain.empty() || chain == "autograd graph";
    if (held_in_c && !known.empty()) continue;  // most likely the same leak's C++ side
    const Holder* holder = observed(seen, chain);
    Finding finding = describe_site(report, site);
    if (!chain.empty()) {
      finding.variable = variable_of(chain);
      finding.evidence["holder"] = chain;
      finding.message += ", held by `" + *finding.variable + "`";
      known.insert(container(chain));
    }
    if (holder != nullptr && holder->grows) {  // where it is kept tells more than where it was made
      finding.variable = holder->variable;
      finding.file = holder->file;
      finding.line = holder->line;
      finding.message += " (" + kind_of_variable(*holder) + ")";
    }
    finding.message += ": " + site.evidence + ".";
    finding.fix =
        site.kind == "host_pinned" ? "Copy what you keep into plain memory (`.clone()`), or use a fixed number of "
                                     "pinned buffers again and again."
        : chain.empty()
            ? unknown_keeper_fix
            : "Keep what you need later and nothing else: a number (`.item()`), a copy in host memory (`.cpu()`), "
              "or a container of fixed size.";
    if (const Shown shown = shown_of_site(report, site.id); shown.is_of_views()) {
      finding.message += shown.text();
      finding.fix = views_fix;
    }
    found.push_back(std::move(finding));
    ++added;
  }
}

/// Of one object: little in one attribute beside much in another. `metric.target` is no problem of its own, however the
/// object is called there (`self.metric`).
bool is_little_beside(const Finding& finding, const Finding& other) {
  const auto object = [](const Finding& one) {
    const std::string name = one.variable.value_or(""), whole = name.substr(0, std::min(name.rfind('.'), name.size()));
    return whole == name ? name : whole.substr(whole.rfind('.') + 1);
  };
  return finding.variable && finding.bytes < worth_telling && 10 * finding.bytes < other.bytes &&
         other.file == finding.file && object(other) == object(finding) && object(finding) != finding.variable;
}

/// `activations['image']` and `activations['text']`, which one statement fills, are one finding, of `activations`.
Findings joined_by_container(Findings&& all) {
  std::ranges::stable_sort(all, std::greater(), &Finding::bytes);
  Findings joined;
  const auto base = [](const Finding& finding) {
    const std::string name = finding.variable.value_or("");
    return name.substr(0, name.find("['"));
  };
  for (Finding& finding : all) {
    if (const auto main =
            std::ranges::find_if(joined, [&](const Finding& other) { return is_little_beside(finding, other); });
        main != joined.end()) {
      main->message += " `" + *finding.variable + "` has " + human_bytes(finding.bytes) + " more.";
      continue;
    }
    const auto same = std::ranges::find_if(joined, [&](const Finding& other) {
      return finding.line && other.file == finding.file && other.line == finding.line && base(other) == base(finding) &&
             base(finding) != finding.variable && !base(finding).empty();
    });
    if (same == joined.end()) {
      joined.push_back(std::move(finding));
      continue;
    }
    same->bytes += finding.bytes;
    same->message += " `" + *finding.variable + "` has " + human_bytes(finding.bytes) + " more.";
    const std::string name = base(finding);
    if (const std::size_t at = same->title.find(*same->variable); at != std::string::npos)
      same->title.replace(at, same->variable->size(), name);
    same->variable = name;
  }
  return joined;
}

}  // namespace

Findings growing_site(const Report& report) {
  Findings found;
  std::set<std::string> reported;
  const std::vector<std::vector<Holder>> holders = holders_by_variable(report);
  const std::vector<Grown> grown = grown_holders(report);
  from_holders(report, holders, grown, found, reported);
  from_longer_tensors(report, holders, found, reported);
  std::set<SiteId> sites;  // whose memory has a holder that was spoken of
  for (const HolderReport& row : report.holders.rows)
    if (row.garbage && !row.parent && !grew_before_it_was_lost(report.holders, row))
      sites.insert(row.sites.begin(), row.sites.end());  // reference-cycle speaks of it
  for (const HolderMoment& moment : report.moments)
    for (const HolderReport& row : moment.rows) {
      if (row.limited && moment.moment != "look")  // what a bounded container has is known to be held
        for (const SiteId id : row.sites)
          if (const SiteReport* site = find_site(report, id); site && 2 * row.retained_bytes >= site->live_bytes)
            sites.insert(id);
      const bool of_graph = row.verdict == "growing" && 2 * row.graph_bytes > row.retained_bytes;
      if (of_graph || row.known == holders::unfinished)  // history-accumulation does, out-of-memory
        sites.insert(row.sites.begin(), row.sites.end());
    }
  from_grown(report, grown, holders, found, reported, sites);
  from_sites(report, holders, found, reported, sites);
  return joined_by_container(std::move(found));
}

}  // namespace vramtrack::findings
