#include "report/holders/births.hpp"

#include <algorithm>

#include "report/analysis/site_judge.hpp"
#include "report/support/units.hpp"

namespace vramtrack::holders {

namespace {

constexpr std::size_t least_elements = 8, least_models = 24;
constexpr std::uint8_t tensor_layer = static_cast<std::uint8_t>(trace::Layer::tensor);

bool is_tensor_account(const trace::Account& account) {
  return account.used == 1 && account.layer == tensor_layer &&
         account.kind == static_cast<std::uint8_t>(trace::Kind::all);
}

}  // namespace

BirthJudge::BirthJudge(const trace::TraceFile& trace, double now, std::uint32_t steps, bool on_the_way,
                       const std::vector<HeldBlock>& blocks, double work_ended)
    : trace_(trace), now_(std::min(now, work_ended)), steps_(steps), on_the_way_(on_the_way) {
  for (const trace::TimelineSeries& series : trace.timelines) {
    if (series.account >= trace.accounts.size() || !is_tensor_account(trace.accounts[series.account])) continue;
    devices_[trace.accounts[series.account].device].clock = activity_clock(trace, series);
  }
  for (const trace::Account& account : trace.accounts)
    if (is_tensor_account(account)) devices_[account.device].freed += account.freed_count;
  for (const HeldBlock& block : blocks) {
    if (block.time >= 0) devices_[block.device].births.push_back(block.time);
    sites_[block.site] += block.bytes;
  }
  for (auto& [device, activity] : devices_) {
    std::sort(activity.births.begin(), activity.births.end());
    if (const std::uint64_t last = last_event(trace, tensor_layer, device); last != 0)
      activity.last = trace.seconds(last);
  }

  for (const trace::Site& site : trace.sites)
    if (site.used == 1 && site.layer == tensor_layer) {
      double& last = devices_[site.device].last_allocation;
      last = std::max(last, std::min(trace.seconds(site.last_time), work_ended));
    }
  std::map<std::uint16_t, Span> spans;  // by label
  for (const trace::Site& site : trace.sites) {
    const trace::Stack* stack = site.used == 0 ? nullptr : trace.stack(site.stack);
    if (stack == nullptr || stack->module == 0) continue;
    const double begin = trace.seconds(site.first_time), end = trace.seconds(site.last_time);
    Span& span = spans.try_emplace(stack->module, Span{begin, end}).first->second;
    span = {std::min(span.begin, begin), std::max(span.end, end)};
    if (const trace::Label* const label = trace.label(stack->module)) {
      double& last = ran_[label->address];
      last = std::max(last, end);
    }
  }
  for (const auto& [label, span] : spans) modules_.push_back(span);
  std::sort(modules_.begin(), modules_.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
}

/// Whether a site made its last block well before the program did, which went on to use what it had collected.
bool BirthJudge::ended_before(const Activity& activity, const trace::Site& site) const {
  const double first = activity.clock.at(trace_.seconds(site.first_time));
  const double last = activity.clock.at(trace_.seconds(site.last_time));
  return activity.clock.at(activity.last_allocation) - last > 0.05 * (last - first);
}

/// Whether so many elements were born while one layer after the other of a model ran, none of them twice: a prefill
/// keeps something of each layer, and that ends with the layers.
bool BirthJudge::is_one_pass(double begin, double end, std::size_t elements) const {
  std::size_t ran = 0, again = 0;
  double before = begin;
  for (const Span& module : modules_) {
    if (module.end < begin || module.begin > end) continue;
    ++ran;
    again += module.begin < before;
    before = std::max(before, module.end);
  }
  constexpr std::size_t most_of_layer = 8;  // keys, values, outputs, ...
  return most_of_layer * ran >= elements && 10 * again <= ran;
}

bool BirthJudge::born_at_work(const std::vector<std::vector<HeldBlock>>& elements) const {
  std::vector<double> births;
  for (const std::vector<HeldBlock>& element : elements)
    for (const HeldBlock& block : element)
      if (block.time >= 0) births.push_back(block.time);
  if (births.size() < 2) return false;
  std::sort(births.begin(), births.end());
  const std::size_t few = births.size() / 8;
  const double first = births[few], last = births[births.size() - 1 - few];
  return std::any_of(modules_.begin(), modules_.end(),
                     [&](const Span& module) { return module.begin <= first && module.end >= last; });
}

double BirthJudge::last_run(const std::vector<std::uint64_t>& modules) const {
  double last = -1;
  for (const std::uint64_t module : modules)
    if (const auto ran = ran_.find(module); ran != ran_.end()) last = std::max(last, ran->second);
  return last;
}

bool BirthJudge::came_between(const HolderReport& row, double begin, double end) const {
  if (row.sites.empty() || row.elements < 2) return false;
  const trace::Site& site = trace_.sites[row.sites.front()];
  const auto activity = devices_.find(site.device);
  if (activity == devices_.end() || trace_.seconds(site.last_time) <= begin) return false;
  const ActivityClock& clock = activity->second.clock;
  const double between = (clock.at(row.last_time) - clock.at(row.first_time)) / static_cast<double>(row.elements - 1);
  return clock.at(end) - clock.at(begin) >= 2 * between;
}

bool BirthJudge::used_to_the_end(const HolderReport& row, const std::vector<std::uint64_t>& modules) const {
  if (on_the_way_ || row.sites.empty()) return false;
  const auto activity = devices_.find(trace_.sites[row.sites.front()].device);
  if (activity == devices_.end()) return false;
  const double last = std::max(row.last_time, last_run(modules));
  const ActivityClock& clock = activity->second.clock;
  const double end = clock.at(activity->second.last_allocation);
  return 4 * (end - clock.at(last)) <= end - clock.at(row.first_time);
}

std::uint64_t generations(const std::vector<std::vector<HeldBlock>>& elements) {
  std::vector<std::pair<double, double>> lives;  // end and begin of each one's births
  for (const std::vector<HeldBlock>& element : elements) {
    if (element.empty()) continue;
    const auto [first, last] = std::minmax_element(
        element.begin(), element.end(), [](const HeldBlock& a, const HeldBlock& b) { return a.time < b.time; });
    lives.push_back({last->time, first->time});
  }
  std::sort(lives.begin(), lives.end());
  std::uint64_t count = 0;
  double end = -1;
  for (const auto& [last, first] : lives) {
    if (count != 0 && first <= end) continue;
    ++count;
    end = last;
  }
  return count;
}

Verdict BirthJudge::judge(const std::vector<std::vector<HeldBlock>>& elements, bool of_container, bool of_model,
                          bool of_modules) const {
  SiteHistory history;
  std::map<std::uint32_t, std::uint64_t> sites;
  std::uint64_t all = 0;
  std::int16_t device = 0;
  for (const std::vector<HeldBlock>& element : elements) {
    Birth birth{0, -1, 0};
    for (const HeldBlock& block : element) {
      if (block.time < 0) continue;
      if (birth.time < 0 || block.time < birth.time) birth = {block.step, block.time, birth.bytes};
      birth.bytes += block.bytes;
      device = block.device;
      all += block.bytes;
      if (block.site < trace_.sites.size()) sites[block.site] += block.bytes;
    }
    if (birth.time >= 0) history.survivors.push_back(birth);
  }
  if (history.survivors.empty()) return {"one-off", {}, "its memory was allocated before anything was recorded"};
  const auto by_time = [](const Birth& a, const Birth& b) { return a.time < b.time; };
  const Birth& first = *std::min_element(history.survivors.begin(), history.survivors.end(), by_time);
  history.allocated_count = history.survivors.size();
  if (of_model && steps_ > 0) history.of_model = history.survivors.size();
  history.first_time = first.time;
  history.first_step = first.step;
  const Birth& last = *std::max_element(history.survivors.begin(), history.survivors.end(), by_time);
  const bool one_pass = is_one_pass(first.time, last.time, history.survivors.size());
  // Models that each ran once look like the layers of one; nobody loads so many on purpose.
  // Half way through a short loop that collects something, nothing tells that it will end.
  const bool open = on_the_way_ && steps_ == 0;
  history.least_births = !of_container || open ? 100 : !one_pass ? least_elements : of_modules ? least_models : 100;
  // What the sites of a holder free again counts against it only where it is theirs alone to say: the site that made
  // most of its memory.
  const auto main =
      std::max_element(sites.begin(), sites.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (main != sites.end()) {
    const trace::Site& site = trace_.sites[main->first];
    history.first_time = std::min(history.first_time, trace_.seconds(site.first_time));
    history.first_step = std::min(history.first_step, site.first_step);
    if (of_modules) history.made_until = std::min(site.last_step, steps_);
    history.freed_count = site.freed_count;
    history.last_free_time = site.freed_count > 0 ? trace_.seconds(site.last_free_time) : 0;
  }
  const auto found = devices_.find(device);
  static const Activity none;
  const Activity& activity = found == devices_.end() ? none : found->second;
  if (open && main != sites.end() && ended_before(activity, trace_.sites[main->first]))
    return {"steady", {}, "it was full before the program ended"};
  const double now = std::min(now_, activity.last);
  Verdict verdict = vramtrack::judge(history, {steps_, now, activity.freed, &activity.clock, &activity.births});
  if (verdict.verdict == "growing" && steps_ == 0 && main != sites.end()) {
    const double begin = activity.clock.at(trace_.seconds(trace_.sites[main->first].first_time));
    const double births = activity.clock.at(last.time) - activity.clock.at(first.time);
    if (10 * births < activity.clock.at(now) - begin) return {"recent", {}, "all of it was made in one go"};
  }
  if (verdict.verdict == "growing" && main != sites.end() && is_made_by(main->first, main->second, all) &&
      level_is_kept(trace_.sites[main->first], main->second))
    return {"steady", {}, "its call site does not hold more and more: " + verdict.evidence};
  return verdict;
}

bool BirthJudge::outlive_others(const HolderReport& row) const {
  if (row.sites.empty()) return false;
  const trace::Site& site = trace_.sites[row.sites.front()];
  if (on_the_way_ && site.live_count == 0)  // and then all of it was let go
    return rise_until_let_go(site, row.retained_bytes, row.blocks) == Rise::more;
  return 4 * site.freed_count >= site.allocated_count && rise_of(site) == Rise::more;
}

bool BirthJudge::is_made_by(std::uint32_t site, Bytes bytes, Bytes all) const {
  const auto whole = sites_.find(site);  // what no object holds is not in it
  return 4 * bytes >= 3 * all && (whole == sites_.end() || 4 * bytes >= 3 * whole->second);
}

BirthJudge::SiteRise BirthJudge::rise_of_part(std::uint32_t id, const Part& part, bool drains) const {
  const trace::Site& site = trace_.sites[id];
  const auto found = devices_.find(site.device);
  if (found == devices_.end() || site.layer != tensor_layer) return {};
  const ActivityClock& clock = found->second.clock;
  const bool let_go = on_the_way_ && site.live_count == 0;
  const double until = let_go ? found->second.last_allocation : std::min(now_, found->second.last);
  const double begin = clock.at(trace_.seconds(site.first_time)), end = clock.at(until);
  const double last = clock.at(trace_.seconds(site.last_time));
  const auto allocations = static_cast<double>(std::max<std::uint64_t>(site.allocated_count, 1));
  const double interval = 1.5 * part.interval(), steps = static_cast<double>(site.last_step) - site.first_step;
  const double pause = std::max(4 * (last - begin) / allocations, interval * (last - begin) / std::max(1.0, steps));
  // What still waits in a queue when the last was put there is worked off; some was already while it was filled.
  const bool worked_off = drains && let_go && 20 * site.at_peak_bytes < 19 * site.allocated_bytes;
  // All that is freed at once at the end makes the clock of events run.
  const double lived = trace_.seconds(site.last_time) - trace_.seconds(site.first_time);
  const bool in_last_round = let_go && until - trace_.seconds(site.last_time) < 2 * lived / allocations;
  if (!worked_off && !in_last_round && end - last > std::max(0.05 * (end - begin), pause)) return {};
  const double last_step = site.last_step + std::max(2.0, interval);
  if (!worked_off && steps_ > 0 && last_step < (let_go ? trace_.header.steps : steps_)) return {};
  SiteRise result;
  result.rise = let_go ? rise_until_let_go(site, part.bytes, part.blocks) : rise_of(site);
  if (result.rise == Rise::none) return {};
  std::vector<std::uint64_t> floors = floors_of(site);
  if (let_go) {
    result.rise = result.rise == Rise::longer ? Rise::longer_until_let_go : Rise::until_let_go;
    floors.pop_back();
  }
  result.from = floors.front();
  result.to = floors.back();
  return result;
}

Verdict BirthJudge::rising(const std::vector<HeldBlock>& blocks, Rise& rise, bool drains) const {
  rise = Rise::none;
  std::map<std::uint32_t, Part> parts;
  Bytes all = 0;
  for (const HeldBlock& block : blocks) {
    if (block.site < trace_.sites.size()) parts[block.site].add(block);
    all += block.bytes;
  }
  std::vector<std::pair<std::uint32_t, Part>> sorted(parts.begin(), parts.end());
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
  // One site made nearly all, or several rose side by side: what each layer of a model gives, the parts of an output.
  const bool by_one = !sorted.empty() && 4 * sorted.front().second.bytes >= 3 * all;
  if (by_one) sorted.resize(1);
  std::vector<const trace::Site*> sites;
  std::uint64_t from = 0, to = 0, allocated = 0, freed = 0;
  Bytes told = 0;
  for (const auto& [id, part] : sorted) {
    // It made others, too; of one that is replaced by a longer one both may be there.
    if (!is_made_by(id, part.blocks == 1 ? 2 * part.bytes : part.bytes, part.bytes)) continue;
    const SiteRise one = rise_of_part(id, part, drains);
    if (one.rise == Rise::none || (!by_one && is_longer(one.rise))) continue;
    if (!sites.empty() && one.rise != rise) continue;
    rise = one.rise;
    const trace::Site& site = trace_.sites[id];
    sites.push_back(&site);
    from += one.from;
    to += one.to;
    allocated += site.allocated_count;
    freed += site.freed_count;
    told += part.bytes;
  }
  if (sites.empty() || 4 * told < 3 * all) {
    rise = Rise::none;
    return {};
  }
  const trace::Site& site = *sites.front();
  const double first = trace_.seconds(site.first_time), last = trace_.seconds(site.last_time);
  const auto growth = static_cast<double>(to) - static_cast<double>(from);
  Verdict result;
  result.verdict = "growing";
  if (site.last_step > site.first_step) {
    result.growth.bytes_per_step = growth / (site.last_step - site.first_step);
    result.growth.steps_spanned = site.last_step - site.first_step + 1;
  }
  if (last > first) result.growth.bytes_per_second = growth / (last - first);
  const std::string whose = sites.size() == 1 ? "its call site" : "its " + std::to_string(sites.size()) + " call sites";
  result.evidence = "what " + whose + " always held rose from " + human_bytes(from) + " to " + human_bytes(to) +
                    " in the course of " + human_count(allocated) + " allocations, and still " +
                    (rise == Rise::until_let_go ? "shortly before all of it was let go"
                     : rise == Rise::longer_until_let_go
                         ? "shortly before it was let go: each is larger than the one that it replaces"
                     : rise == Rise::longer ? "at the end: each is larger than the one that it replaces"
                                            : "at the end, though " + human_count(freed) + " were freed again");
  return result;
}

}  // namespace vramtrack::holders
