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

const Json* note(const Report& report, std::string_view key) {
  const auto at = report.notes.find(std::string(key));
  return at == report.notes.end() || at->second.is_null() ? nullptr : &at->second;
}

const Json& list_of(const Report& report, std::string_view key) {
  static const Json none = Json::array();
  const Json* list = note(report, key);
  return list != nullptr && list->is_array() ? *list : none;
}

std::string text_in(const Json& evidence, const char* key) {
  const auto at = evidence.is_object() ? evidence.find(key) : evidence.end();
  return evidence.is_object() && at != evidence.end() && at->is_string() ? at->get<std::string>() : std::string();
}

namespace {

/// What an object of the user's is reached by may go through the private attributes of a library, which says nothing:
/// `Net.outputs` for `trainer._connector._selector.model.outputs`.
std::string without_private_way(const std::string& variable, const std::string& of_class) {
  const std::size_t name = variable.substr(0, variable.find('[')).rfind('.');
  if (of_class.empty() || name == std::string::npos || variable.find("._") >= name) return variable;
  return of_class + variable.substr(name);
}

Holder read_holder(const Json& part) {
  namespace from = fact::holder;
  Holder holder;
  holder.chain = get(part, from::h).value_or("");
  holder.variable = get(part, from::v).value_or("");
  holder.file = get(part, from::f).value_or("");
  holder.function = get(part, from::fn).value_or("");
  holder.of_class = get(part, from::o).value_or("");
  holder.variable = without_private_way(holder.variable, holder.of_class);
  holder.line = static_cast<int>(get(part, from::l).value_or(0));
  holder.grows = get(part, from::k).value_or(false);
  holder.limited = get(part, from::lim).value_or(false);
  holder.count = get(part, from::c).value_or(0);
  holder.graphs = get(part, from::g).value_or(0);
  holder.bound = get(part, from::max).value_or(0);
  holder.nodes = get(part, from::nodes).value_or(0);
  holder.steps = get(part, from::steps).value_or(0);
  holder.uses = get(part, from::uses).value_or(0);
  holder.bytes = get(part, from::b).value_or(0);
  holder.sequence = get(part, from::seq).value_or(0);
  holder.sequence_bytes = get(part, from::seqb).value_or(0);
  holder.first_step = static_cast<std::uint32_t>(get(part, from::s0).value_or(0));
  holder.last_step = static_cast<std::uint32_t>(get(part, from::s1).value_or(0));
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

/// Whether the graph of who holds whom was found to have a limit in the code at the same statement.
bool is_limited_there(const Report& report, const Holder& holder) {
  return std::any_of(report.moments.begin(), report.moments.end(), [&](const HolderMoment& moment) {
    return std::any_of(moment.rows.begin(), moment.rows.end(), [&](const HolderReport& row) {
      return row.limited && row.line == holder.line && row.file == holder.file;
    });
  });
}

}  // namespace

std::vector<std::vector<Holder>> holders_by_variable(const Report& report) {
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<Holder>> grouped;
  std::size_t number = 0;
  const auto add = [&](const std::vector<const Json*>& parts, std::uint64_t step, Bytes live, bool at_end) {
    ++number;
    for (const Json* part : parts) {
      Holder holder = read_holder(*part);
      holder.limited = holder.limited || is_limited_there(report, holder);
      holder.step = static_cast<std::uint32_t>(step);
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
  namespace looks = fact::looks;
  for (const Json& look : list_of(report, trace::note_key::looks))
    add(get(look, looks::holders), get(look, looks::step).value_or(0), get(look, looks::live).value_or(0), false);
  if (const Json* end = note(report, trace::note_key::history_graph))
    add(get(*end, fact::history_graph::holders), get(*end, fact::history_graph::step).value_or(0), 0, true);
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
  const Json* series = note(report, trace::note_key::step_live);
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
  const std::string whole = holder.chain.substr(0, holder.chain.find("[]"));  // not what its elements hold
  const std::string kind = !holder.of_class.empty()                     ? "an attribute of " + holder.of_class
                           : !holder.function.empty()                   ? "a local of " + holder.function
                           : whole.find(" local ") != std::string::npos ? "a local"
                                                                        : "a global";
  return holder.file.empty() ? kind : kind + ", " + place(holder.file, holder.line);
}

void explain_exceptions(Finding& finding, const Holder& holder) {
  const auto leads = [&](std::string_view by) { return holder.chain.find(by) != std::string::npos; };
  const bool kept = !holder.chain.starts_with("traceback of the last exception");  // by the program
  if (!leads(".__traceback__") && !(kept && (leads(".tb_frame") || leads("<traceback>")))) return;
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

const Frame* point_at_frame(Finding& finding, const Report& report, std::optional<FrameId> id) {
  if (!id) return nullptr;
  const Frame& frame = report.frames[*id];
  finding.file = frame.file;
  if (frame.line > 0) finding.line = frame.line;
  return &frame;
}

}  // namespace

const Frame* point_at(Finding& finding, const Report& report, const SiteReport& site) {
  return point_at_frame(finding, report, own_frame(report, site));
}

const Frame* point_at(Finding& finding, const Report& report, const ContextReport& context) {
  return point_at_frame(finding, report, own_frame(report, context.stack));
}

PrivatePools private_pools(const Report& report, int device) {
  namespace from = fact::private_pools;
  PrivatePools all;
  for (const Json& row : list_of(report, trace::note_key::private_pools)) {
    if (get(row, from::device) != static_cast<std::uint64_t>(device)) continue;
    const Bytes reserved = get(row, from::reserved).value_or(0), live = get(row, from::live).value_or(0);
    all.pools += get(row, from::pools).value_or(0);
    all.unused += reserved - std::min(live, reserved);
  }
  return all;
}

}  // namespace vramtrack::findings
