#include "report/model/read_report.hpp"

#include <cmath>
#include <cstdlib>
#include <unordered_set>

#include "report/model/input_error.hpp"

namespace vramtrack {
namespace {

constexpr const char* schema_name = "vramtrack-report/1";

/// A place in the document: the value and how a user would write its path.
class Node {
 public:
  Node(const Json& json, std::string at, const std::string& path) : json_(json), at_(std::move(at)), path_(path) {}

  [[noreturn]] void fail(const std::string& what) const {
    throw InputError(path_, std::nullopt, "not a valid report: " + (at_.empty() ? "" : at_ + " ") + what,
                     "write the report again from its .vtrace");
  }

  void read(bool& value) const { value = expect(json_.is_boolean(), "a boolean").get<bool>(); }
  void read(double& value) const {
    value = json_.is_null() ? 0 : expect(json_.is_number(), "a number").get<double>();
    constexpr double most = 1e18;  // seconds or bytes: what is beyond is damage, and fits no integer
    if (!(std::fabs(value) <= most)) fail("is out of range");
  }
  void read(std::string& value) const {
    if (!json_.is_null()) value = expect(json_.is_string(), "a string").get<std::string>();
  }
  void read(Json& value) const { value = json_; }
  template <std::integral T>
  void read(T& value) const {
    // A number that does not fit must not be cut silently: 2^40 is no frame index.
    if (json_.is_number_unsigned()) {
      const auto number = json_.get<std::uint64_t>();
      if (!std::in_range<T>(number)) fail("is out of range");
      value = static_cast<T>(number);
    } else {
      const auto number = expect(json_.is_number_integer(), "an integer").get<std::int64_t>();
      if (!std::in_range<T>(number)) fail("is out of range");
      value = static_cast<T>(number);
    }
  }
  template <typename T>
  void read(std::optional<T>& value) const {
    if (json_.is_null()) return;
    T content{};
    read(content);
    value = std::move(content);
  }
  template <typename T>
  void read(std::vector<T>& values) const {
    if (json_.is_null()) return;
    expect(json_.is_array(), "an array");
    values.reserve(json_.size());
    for (std::size_t i = 0; i < json_.size(); ++i) {
      values.emplace_back();
      Node(json_[i], at_ + "[" + std::to_string(i) + "]", path_).read(values.back());
    }
  }
  void read(std::vector<bool>&) const = delete;
  template <typename T>
  void read(std::map<std::string, T>& values) const {
    if (json_.is_null()) return;
    expect(json_.is_object(), "an object");
    for (const auto& [key, value] : json_.items()) Node(value, at_ + "." + key, path_).read(values[key]);
  }

  template <typename T>
  void field(const char* key, T& value) const {
    expect(json_.is_object(), "an object");
    const auto found = json_.find(key);
    if (found != json_.end()) Node(*found, at_.empty() ? key : at_ + "." + key, path_).read(value);
  }
  template <typename Reader>
  void child(const char* key, Reader reader) const {
    expect(json_.is_object(), "an object");
    const auto found = json_.find(key);
    if (found != json_.end() && !found->is_null()) reader(Node(*found, at_.empty() ? key : at_ + "." + key, path_));
  }

  void read(ProcessEnd& value) const {
    field("kind", value.kind);
    field("code", value.code);
  }
  void read(Process& value) const {
    field("pid", value.pid);
    field("ppid", value.ppid);
    field("command", value.command);
    field("executable", value.executable);
    field("hostname", value.hostname);
    field("cwd", value.cwd);
    field("started_at", value.started_at);
    field("ended_at", value.ended_at);
    field("duration", value.duration);
    field("rank", value.rank);
    field("local_rank", value.local_rank);
    field("world_size", value.world_size);
    field("forked_from", value.forked_from);
    field("end", value.end);
  }
  void read(Device& value) const {
    field("index", value.index);
    field("name", value.name);
    field("total_bytes", value.total_bytes);
    field("uuid", value.uuid);
  }
  void read(Environment& value) const {
    field("python", value.python);
    field("torch", value.torch);
    field("cuda_runtime", value.cuda_runtime);
    field("cuda_driver", value.cuda_driver);
    field("simulated", value.simulated);
    field("devices", value.devices);
  }
  void read(Total& value) const {
    field("layer", value.layer);
    field("device", value.device);
    field("kind", value.kind);
    field("live_bytes", value.live_bytes);
    field("live_count", value.live_count);
    field("peak_bytes", value.peak_bytes);
    field("peak_at_time", value.peak_at_time);
    field("peak_at_step", value.peak_at_step);
    field("allocated_bytes", value.allocated_bytes);
    field("allocated_count", value.allocated_count);
    field("freed_bytes", value.freed_bytes);
    field("freed_count", value.freed_count);
  }
  void read(Owner& value) const {
    field("owner", value.owner);
    field("bytes", value.bytes);
  }
  void read(LedgerEntry& value) const {
    field("device", value.device);
    field("total_bytes", value.total_bytes);
    field("driver_used_bytes", value.driver_used_bytes);
    field("tensors_live_bytes", value.tensors_live_bytes);
    field("cached_bytes", value.cached_bytes);
    field("largest_free_cached_block_bytes", value.largest_free_cached_block_bytes);
    field("owners", value.owners);
    field("context_and_other_bytes", value.context_and_other_bytes);
    field("managed_bytes", value.managed_bytes);
  }
  void read(Growth& value) const {
    field("bytes_per_step", value.bytes_per_step);
    field("bytes_per_second", value.bytes_per_second);
    field("steps_spanned", value.steps_spanned);
  }
  void read(SiteReport& value) const {
    field("id", value.id);
    field("layer", value.layer);
    field("kind", value.kind);
    field("device", value.device);
    field("owner", value.owner);
    field("live_bytes", value.live_bytes);
    field("live_count", value.live_count);
    field("largest_bytes", value.largest_bytes);
    field("peak_bytes", value.peak_bytes);
    field("at_peak_bytes", value.at_peak_bytes);
    field("at_peak_count", value.at_peak_count);
    field("allocated_bytes", value.allocated_bytes);
    field("allocated_count", value.allocated_count);
    field("first_time", value.first_time);
    field("last_time", value.last_time);
    field("verdict", value.verdict);
    field("growth", value.growth);
    field("evidence", value.evidence);
    field("module", value.module);
    field("range", value.range);
    field("phase", value.phase);
    field("role", value.role);
    field("backward_of", value.backward_of);
    field("stack", value.stack);
  }
  void read(TensorFacts& value) const {
    field("shape", value.shape);
    field("dtype", value.dtype);
    field("name", value.name);
    field("role", value.role);
    field("holder", value.holder);
    field("holder_id", value.holder_id);
  }
  void read(HolderReport& value) const {
    field("id", value.id);
    field("parent", value.parent);
    field("path", value.path);
    field("variable", value.variable);
    field("type", value.type);
    field("kind", value.kind);
    field("file", value.file);
    field("line", value.line);
    field("retained_bytes", value.retained_bytes);
    field("own_bytes", value.own_bytes);
    field("blocks", value.blocks);
    field("count", value.count);
    field("elements", value.elements);
    field("first_time", value.first_time);
    field("last_time", value.last_time);
    field("first_step", value.first_step);
    field("last_step", value.last_step);
    field("bytes_per_step", value.bytes_per_step);
    field("bytes_per_second", value.bytes_per_second);
    field("verdict", value.verdict);
    field("evidence", value.evidence);
    field("also_held_by", value.also_held_by);
    field("roles", value.roles);
    field("garbage", value.garbage);
    field("cycle", value.cycle);
    field("known", value.known);
    field("fix", value.known_fix);
  }
  void read(AllocationReport& value) const {
    std::string address;
    field("address", address);
    std::string mapped_at = "0";
    field("mapped_at", mapped_at);
    for (const auto& [text, number] : {std::pair(&address, &value.address), {&mapped_at, &value.mapped_at}}) {
      char* end = nullptr;
      *number = std::strtoull(text->c_str(), &end, 16);
      if (end == nullptr || *end != '\0') fail("has an address that is not hexadecimal");
    }
    field("bytes", value.bytes);
    field("layer", value.layer);
    field("kind", value.kind);
    field("device", value.device);
    field("stream", value.stream);
    field("site", value.site);
    field("time", value.time);
    field("step", value.step);
    field("thread", value.thread);
    field("tensor", value.tensor);
  }
  void read(Frame& value) const {
    field("kind", value.kind);
    field("function", value.function);
    field("file", value.file);
    field("line", value.line);
    field("module", value.module);
    field("inlined", value.inlined);
    field("source", value.source);
  }
  void read(TimelineEntry& value) const {
    field("time", value.time);
    field("step", value.step);
    field("layer", value.layer);
    field("device", value.device);
    field("live_bytes", value.live_bytes);
    field("reserved_bytes", value.reserved_bytes);
  }
  void read(Member& value) const {
    read(value.process);
    field("input", value.input);
    field("at", value.at);
    field("totals", value.totals);
    field("findings", value.findings);
    field("ooms", value.ooms);
  }
  void read(RankSite& value) const {
    field("sites", value.sites);
    field("layer", value.layer);
    field("kind", value.kind);
    field("owner", value.owner);
    field("live_bytes", value.live_bytes);
    field("peak_bytes", value.peak_bytes);
  }
  void read(Spread& value) const {
    field("min", value.min_bytes);
    field("min_rank", value.min_rank);
    field("median", value.median_bytes);
    field("max", value.max_bytes);
    field("max_rank", value.max_rank);
    field("by_rank", value.by_rank);
  }
  void read(RankOutlier& value) const {
    field("rank", value.rank);
    field("measure", value.measure);
    field("sites", value.sites);
    field("bytes", value.bytes);
    field("median_bytes", value.median_bytes);
    field("message", value.message);
  }
  void read(OomReport& value) const {
    field("n", value.n);
    field("time", value.time);
    field("device", value.device);
    field("layer", value.layer);
    field("requested_bytes", value.requested_bytes);
    field("live_bytes", value.live_bytes);
    field("reserved_bytes", value.reserved_bytes);
    field("stack", value.stack);
    field("sites", value.sites);
    field("rank", value.rank);
  }
  void read(SiteAmount& value) const {
    field("site", value.site);
    field("live_bytes", value.live_bytes);
    field("live_count", value.live_count);
  }
  void read(Finding& value) const {
    field("code", value.code);
    field("severity", value.severity);
    field("title", value.title);
    field("message", value.message);
    field("site", value.site);
    field("file", value.file);
    field("line", value.line);
    field("variable", value.variable);
    field("bytes", value.bytes);
    field("evidence", value.evidence);
    field("fix", value.fix);
    field("docs", value.docs);
  }
  void read(BreakdownEntry& value) const {
    field("device", value.device);
    field("role", value.role);
    field("module", value.module);
    field("range", value.range);
    field("phase", value.phase);
    field("bytes", value.bytes);
    field("blocks", value.blocks);
  }
  void read(Advice& value) const {
    field("code", value.code);
    field("title", value.title);
    field("module", value.module);
    field("file", value.file);
    field("line", value.line);
    field("saves_bytes", value.saves_bytes);
    field("basis", value.basis);
    field("fix", value.fix);
  }
  void read(LossReport& value) const {
    field("dropped_events", value.dropped_events);
    field("unresolved_frames", value.unresolved_frames);
    field("unknown_frees", value.unknown_frees);
    field("torn_records", value.torn_records);
    field("notes", value.notes);
  }

 private:
  const Json& expect(bool right, const char* what) const {
    if (!right) fail(std::string("is not ") + what);
    return json_;
  }

  const Json& json_;
  std::string at_;
  const std::string& path_;
};

/// Renderers index frames and look up sites without asking: what they rely on is checked here, once.
void check_references(Report& report, const Node& root) {
  const auto check_stack = [&](const std::vector<FrameId>& stack, const std::string& where) {
    for (const FrameId id : stack) {
      if (id >= report.frames.size()) root.fail(where + " names frame " + std::to_string(id) + ", which is not there");
    }
  };
  std::unordered_set<std::uint32_t> ids;
  for (const SiteReport& site : report.sites) {
    const std::string where = "site " + std::to_string(site.id);
    if (!ids.insert(site.id).second) root.fail(where + " is there twice");
    check_stack(site.stack, where);
    if (site.backward_of) check_stack(*site.backward_of, where);
  }
  for (const OomReport& oom : report.ooms) {
    const std::string where = "oom " + std::to_string(oom.n);
    check_stack(oom.stack, where);
    for (const SiteAmount& amount : oom.sites) {
      if (ids.count(amount.site) == 0) root.fail(where + " names site " + std::to_string(amount.site) + ", not there");
    }
  }
  for (std::size_t i = 0; i < report.holders.rows.size(); ++i) {
    const HolderReport& holder = report.holders.rows[i];
    if (!holder.parent) report.holders.held_bytes += holder.retained_bytes;
    if (holder.id != i || (holder.parent && *holder.parent >= i)) root.fail("holders are not in order of their ids");
    for (const std::uint32_t other : holder.also_held_by)
      if (other >= report.holders.rows.size()) root.fail("holder " + std::to_string(i) + " names one that is not there");
  }
  for (const AllocationReport& allocation : report.allocations) {
    if (allocation.tensor && allocation.tensor->holder_id &&
        *allocation.tensor->holder_id >= report.holders.rows.size())
      root.fail("an allocation names a holder that is not there");
    if (ids.count(allocation.site) == 0) {
      root.fail("an allocation names site " + std::to_string(allocation.site) + ", which is not there");
    }
  }
}

}  // namespace

Report read_report(std::string_view text, const std::string& path) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw InputError(path, error.byte, "not valid JSON", "give a .vtrace file or a report that vramtrack wrote");
  }
  const auto schema = json.is_object() ? json.find("schema") : json.end();
  if (!json.is_object() || schema == json.end() || !schema->is_string()) {
    throw InputError(path, std::nullopt, "a JSON file, but not a report of vramtrack",
                     "give a .vtrace file or a report that vramtrack wrote");
  }
  if (schema->get<std::string>() != schema_name) {
    throw InputError(path, std::nullopt,
                     "a report of schema " + schema->get<std::string>() + "; this version reads " + schema_name,
                     "use the version of vramtrack that wrote it, or a newer one");
  }

  const Node root(json, "", path);
  Report report;
  root.field("at", report.at);
  root.field("process", report.process);
  root.field("environment", report.environment);
  root.field("totals", report.totals);
  root.field("ledger", report.ledger);
  root.child("steps", [&](const Node& steps) {
    steps.field("count", report.steps);
    steps.field("source", report.step_source);
  });
  root.field("sites", report.sites);
  root.field("allocations", report.allocations);
  root.child("allocations_omitted", [&](const Node& omitted) {
    omitted.field("count", report.omitted_count);
    omitted.field("bytes", report.omitted_bytes);
  });
  root.field("holders_at", report.holders.moment);
  root.field("holders", report.holders.rows);
  root.field("frames", report.frames);
  root.field("build_ids", report.build_ids);
  root.field("timeline", report.timeline);
  root.field("ooms", report.ooms);
  root.field("findings", report.findings);
  root.field("breakdown", report.breakdown);
  root.field("peak_breakdown", report.peak_breakdown);
  root.field("advice", report.advice);
  root.field("losses", report.losses);
  root.field("ranks", report.ranks.members);
  root.field("rank_names", report.ranks.names);
  root.field("rank_sites", report.ranks.places);
  root.field("outlier", report.ranks.outlier);
  for (const char* key : {"doors", "audit"}) {  // looked at by hook_facts.cpp
    if (const auto found = json.find(key); found != json.end() && found->is_object()) report.notes[key] = *found;
  }
  check_references(report, root);
  return report;
}

}  // namespace vramtrack
