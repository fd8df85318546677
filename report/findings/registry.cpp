#include "report/findings/registry.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "contract/notes.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/sites.hpp"

namespace vramtrack::findings {

Finding make(std::string_view code, std::string_view severity, std::string title) {
  Finding finding;
  finding.code = code;
  finding.severity = severity;
  finding.title = std::move(title);
  finding.docs = "docs/findings/" + finding.code + ".md";
  return finding;
}

const Json* note(const Report& report, const std::string& key) {
  const auto at = report.notes.find(key);
  return at == report.notes.end() || at->second.is_null() ? nullptr : &at->second;
}

namespace {

Holder read_holder(const Json& entry) {
  Holder holder;
  holder.chain = value<std::string>(entry, "h", "");
  holder.variable = value<std::string>(entry, "v", "");
  holder.file = value<std::string>(entry, "f", "");
  holder.function = value<std::string>(entry, "fn", "");
  holder.of_class = value<std::string>(entry, "o", "");
  holder.line = value<int>(entry, "l", 0);
  holder.grows = value<bool>(entry, "k", false);
  holder.limited = value<bool>(entry, "lim", false);
  holder.count = value<std::uint64_t>(entry, "c", 0);
  holder.graphs = value<std::uint64_t>(entry, "g", 0);
  holder.bound = value<std::uint64_t>(entry, "max", 0);
  holder.nodes = value<std::uint64_t>(entry, "nodes", 0);
  holder.steps = value<std::uint64_t>(entry, "steps", 0);
  holder.uses = value<std::uint64_t>(entry, "uses", 0);
  holder.bytes = value<Bytes>(entry, "b", 0);
  holder.sequence = value<std::uint64_t>(entry, "seq", 0);
  holder.sequence_bytes = value<Bytes>(entry, "seqb", 0);
  holder.first_step = value<std::uint32_t>(entry, "s0", 0);
  holder.last_step = value<std::uint32_t>(entry, "s1", 0);
  return holder;
}

/// Another part of what the same variable held at the same look.
void merge(Holder& all, Holder&& part) {
  if (part.bytes > all.bytes_of_chain) {
    all.chain = part.chain;
    all.bytes_of_chain = part.bytes;
  }
  all.chains.push_back(part.chain);
  all.first_step = all.steps == 0    ? part.first_step
                   : part.steps == 0 ? all.first_step
                                     : std::min(all.first_step, part.first_step);
  all.last_step = std::max(all.last_step, part.last_step);
  all.count += part.count;
  all.graphs += part.graphs;
  all.bytes += part.bytes;
  all.bound = std::max(all.bound, part.bound);
  all.nodes = std::max(all.nodes, part.nodes);  // the parts mostly share one graph
  all.steps = std::max(all.steps, part.steps);
  all.uses = std::max(all.uses, part.uses);
  all.sequence = std::max(all.sequence, part.sequence);
  all.sequence_bytes = std::max(all.sequence_bytes, part.sequence_bytes);
  all.grows = all.grows || part.grows;
  all.limited = all.limited || part.limited;
}

}  // namespace

std::vector<std::vector<Holder>> holders_by_variable(const Report& report) {
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<Holder>> grouped;
  std::size_t number = 0;
  const auto add = [&](const Json& entries, std::uint32_t step, Bytes live, bool at_end) {
    if (!entries.is_array()) return;
    ++number;
    for (const Json& entry : entries) {
      Holder holder = read_holder(entry);
      holder.step = step;
      holder.live = live;
      holder.at_end = at_end;
      holder.look = number;
      holder.chains = {holder.chain};
      holder.bytes_of_chain = holder.bytes;
      std::vector<Holder>& seen = grouped[{holder.file, holder.variable, holder.function}];
      if (!seen.empty() && seen.back().look == number)
        merge(seen.back(), std::move(holder));
      else
        seen.push_back(std::move(holder));
    }
  };
  if (const Json* looks = note(report, "looks[]"); looks != nullptr && looks->is_array())
    for (const Json& look : *looks)
      if (look.is_object() && look.contains("holders"))
        add(look["holders"], value<std::uint32_t>(look, "step", 0), value<Bytes>(look, "live", 0), false);
  if (const Json* end = note(report, "history_graph"); end != nullptr && end->is_object() && end->contains("holders"))
    add((*end)["holders"], value<std::uint32_t>(*end, "step", 0), 0, true);
  std::vector<std::vector<Holder>> result;
  for (auto& [key, holders] : grouped) result.push_back(std::move(holders));
  return result;
}

const Holder* observed(const std::vector<std::vector<Holder>>& holders, const std::string& chain) {
  for (const std::vector<Holder>& all : holders)
    if (std::find(all.back().chains.begin(), all.back().chains.end(), chain) != all.back().chains.end())
      return &all.back();
  return nullptr;
}

bool is_bounded(const Holder& holder) { return holder.bound != 0 || holder.limited; }

bool growth_went_on(const Report& report, std::uint32_t step) {
  const Json* series = note(report, std::string(trace::note_key::step_live));
  if (series == nullptr || !series->is_array() || series->size() < 4) return true;
  const auto at = [&](std::size_t i) {
    const Json& row = (*series)[i];
    const auto end = get(row, fact::step_live::step), blocks = get(row, fact::step_live::blocks);
    return end && blocks ? std::pair{static_cast<double>(*end), static_cast<double>(*blocks)} : std::pair{0.0, 0.0};
  };
  std::size_t here = 0;
  while (here + 1 < series->size() && at(here).first < step) ++here;
  const auto [first_step, first_blocks] = at(0);
  const auto [here_step, here_blocks] = at(here);
  const auto [last_step, last_blocks] = at(series->size() - 1);
  if (last_step - here_step < 4 || here_step <= first_step) return true;
  const double pace = (here_blocks - first_blocks) / (here_step - first_step);
  if (pace <= 0) return true;  // not visible in the number of blocks: no say
  return (last_blocks - here_blocks) / (last_step - here_step) > pace / 4;
}

std::string variable_of(const std::string& chain) {
  std::string text = chain.substr(0, chain.find("[]"));
  for (const std::string_view word : {" local ", " closure ", " default "})
    if (const std::size_t at = text.rfind(word); at != std::string::npos) text.erase(0, at + word.size());
  constexpr std::string_view main = "__main__.";
  return text.starts_with(main) ? text.substr(main.size()) : text;
}

bool ran_backward(const Report& report) {
  return report.steps.count > 0 || std::ranges::any_of(report.sites, [](const SiteReport& site) {
           return site.layer == "tensor" && site.backward_of.has_value();
         });
}

std::string kind_of_variable(const Holder& holder) {
  const std::string kind = !holder.of_class.empty()  ? "an attribute of " + holder.of_class
                           : !holder.function.empty() ? "a local of " + holder.function
                           : holder.chain.find(" local ") != std::string::npos ? "a local"
                                                                               : "a global";
  return holder.file.empty() ? kind : kind + ", " + place(holder.file, holder.line);
}

void explain_exceptions(Finding& finding, const Holder& holder) {
  if (holder.chain.find(".__traceback__") == std::string::npos) return;
  const std::string_view local = " local ";
  const std::size_t at = holder.chain.rfind(local);
  finding.message +=
      " Exceptions hold them: a kept exception keeps its traceback, and with it the local variables of every function "
      "that it went through";
  if (at != std::string::npos) finding.message += ", such as `" + holder.chain.substr(at + local.size()) + "`";
  finding.message += ".";
  finding.fix =
      "Keep the text of an exception (`str(error)`, `traceback.format_exc()`) instead of the exception, or keep it "
      "without its frames: `error.with_traceback(None)`.";
}

namespace {

const Frame* point_at(Finding& finding, const Report& report, std::optional<FrameId> id) {
  if (!id) return nullptr;
  const Frame& frame = report.frames[*id];
  finding.file = frame.file;
  if (frame.line > 0) finding.line = frame.line;
  return &frame;
}

}  // namespace

const Frame* point_at(Finding& finding, const Report& report, const SiteReport& site) {
  return point_at(finding, report, own_frame(report, site));
}

const Frame* point_at(Finding& finding, const Report& report, const ContextReport& context) {
  return point_at(finding, report, own_frame(report, context.stack));
}

}  // namespace vramtrack::findings
