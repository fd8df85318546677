#include "report/model/read_report.hpp"

#include <cmath>
#include <cstdlib>
#include <unordered_set>

#include "report/model/fields.hpp"
#include "report/model/input_error.hpp"

namespace vramtrack {
namespace {

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
  template <class Thing>
  void read(Id<Thing>& id) const {
    std::uint32_t number = 0;
    read(number);
    id = Id<Thing>(number);
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
  template <Record T>
  void read(T& record) const {
    expect(json_.is_object(), "an object");
    each_field(record, [&](const char* key, auto& value, const FieldRule& rule, const char*) {
      if constexpr (std::same_as<decltype(value), std::uint64_t&>) {
        if (rule.is_address) return address(key, value);
      }
      field(key, value);
    });
  }

 private:
  void address(const char* key, std::uint64_t& value) const {
    std::string text = "0";
    field(key, text);
    char* end = nullptr;
    value = std::strtoull(text.c_str(), &end, 16);
    if (end == nullptr || *end != '\0') fail("has an address that is not hexadecimal");
  }
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
  std::unordered_set<SiteId> ids;
  const auto check_holders = [&](const std::vector<HolderReport>& rows, const std::string& where) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const HolderReport& holder = rows[i];
      const std::string name = where + "holder " + std::to_string(i);
      if (holder.id != i || (holder.parent && *holder.parent >= i))
        root.fail(where + "holders are not in order of their ids");
      for (const SiteId site : holder.sites)
        if (ids.count(site) == 0) root.fail(name + " names site " + std::to_string(site));
      for (const HolderId other : holder.also_held_by)
        if (other >= rows.size()) root.fail(name + " names one that is not there");
    }
  };
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
    check_holders(oom.holders, where + ": ");
  }
  check_holders(report.holders.rows, "");
  for (const Fragmentation& device : report.fragmentation)
    for (const PinGroup& group : device.pinned_by)
      if (group.holder_id && *group.holder_id >= report.holders.rows.size())
        root.fail("a pinned segment names a holder that is not there");
  for (const AllocationReport& allocation : report.allocations) {
    if (allocation.tensor && allocation.tensor->holder_id &&
        *allocation.tensor->holder_id >= report.holders.rows.size())
      root.fail("an allocation names a holder that is not there");
    if (ids.count(allocation.site) == 0) {
      root.fail("an allocation names site " + std::to_string(allocation.site) + ", which is not there");
    }
  }
}

Bytes held_by(const std::vector<HolderReport>& rows) {
  Bytes held = 0;
  for (const HolderReport& holder : rows)
    if (!holder.parent) held += holder.retained_bytes;
  return held;
}

/// The step of a time.
std::uint32_t step_at(const Report& report, double time) {
  std::uint32_t step = 0;
  for (const TimelineEntry& point : report.timeline)
    if (point.time <= time) step = std::max(step, point.step);
  return step;
}

/// The document has the holders of the report's moment and of its out-of-memory events: each a moment of its own, but
/// for an event whose holders are the report's.
void set_moments(Report& report) {
  HolderMoment& main = report.holders;
  main.held_bytes = held_by(main.rows);
  main.time = report.process.duration;
  bool is_event = false;
  for (const OomReport& oom : report.ooms) {
    if (oom.holders.empty()) continue;
    // Holders that keep the same memory each count it; together they keep no more than there was.
    const Bytes held = held_by(oom.holders);
    HolderMoment moment{.moment = "out_of_memory",
                        .oom = oom.n,
                        .step = step_at(report, oom.time),
                        .time = oom.time,
                        .held_bytes = std::min(held, oom.live_bytes),
                        .rows = oom.holders};
    if (!is_event && main.moment == moment.moment && main.rows.size() == moment.rows.size() &&
        main.held_bytes == held) {
      is_event = true;
      main = moment;
    }
    report.moments.push_back(std::move(moment));
  }
  if (!is_event && !report.moments.empty() && !main.rows.empty()) report.moments.push_back(main);
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
  each_section(report, [&](const char* key, auto& value, const FieldRule&, const char*) { root.field(key, value); });
  check_references(report, root);
  set_moments(report);
  return report;
}

}  // namespace vramtrack
