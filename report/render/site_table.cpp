#include "report/render/site_table.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <unordered_map>

#include "report/model/sites.hpp"
#include "report/render/terminal_text.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::render {
namespace {

/// What is known about the tensors of one site.
struct TensorSummary {
  std::map<std::string, Bytes> roles;
  std::vector<std::string> names;  // patterns: digits between dots become *
};

/// "model.layers.3.mlp.weight" -> "model.layers.*.mlp.weight", so that one name stands for a whole stack of layers.
std::string name_pattern(const std::string& name) {
  std::string pattern;
  for (std::size_t i = 0; i <= name.size();) {
    const std::size_t end = std::min(name.find('.', i), name.size());
    const bool number = end > i && std::all_of(name.begin() + static_cast<std::ptrdiff_t>(i),
                                               name.begin() + static_cast<std::ptrdiff_t>(end),
                                               [](unsigned char c) { return std::isdigit(c) != 0; });
    pattern += number ? "*" : name.substr(i, end - i);
    if (end < name.size()) pattern += '.';
    i = end + 1;
  }
  return pattern;
}

std::unordered_map<SiteId, TensorSummary> summarise_tensors(const Report& report) {
  constexpr std::size_t names_kept = 8;
  std::unordered_map<SiteId, TensorSummary> summaries;
  for (const AllocationReport& allocation : report.allocations) {
    if (!allocation.tensor) continue;
    TensorSummary& summary = summaries[allocation.site];
    summary.roles[allocation.tensor->role] += allocation.bytes;
    const std::string& name = allocation.tensor->name.empty() ? allocation.tensor->holder : allocation.tensor->name;
    if (name.empty() || summary.names.size() >= names_kept) continue;
    const std::string pattern = name_pattern(name);
    if (std::find(summary.names.begin(), summary.names.end(), pattern) == summary.names.end()) {
      summary.names.push_back(pattern);
    }
  }
  return summaries;
}

std::string role_words(const std::string& role) {
  if (role == "parameter") return "parameters";
  if (role == "gradient") return "gradients";
  if (role == "optimizer_state") return "optimizer state";
  if (role == "buffer") return "buffers";
  if (role == "saved_for_backward") return "saved for backward";
  return "";
}

std::string tensor_note(const TensorSummary& summary) {
  const auto largest = std::max_element(summary.roles.begin(), summary.roles.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
  std::string note = largest == summary.roles.end() ? "" : role_words(largest->first);
  if (summary.names.empty()) return note;
  if (!note.empty()) note += "  ";
  return note + "(" + summary.names.front() + (summary.names.size() > 1 ? " ...)" : ")");
}

bool matches(const Report& report, const SiteReport& site, const std::string& filter) {
  if (filter.empty() || site.owner.find(filter) != std::string::npos) return true;
  const auto frame_matches = [&](FrameId id) {
    const Frame& frame = report.frames[id];
    return frame.file.find(filter) != std::string::npos || frame.function.find(filter) != std::string::npos ||
           frame.module.find(filter) != std::string::npos;
  };
  if (std::any_of(site.stack.begin(), site.stack.end(), frame_matches)) return true;
  return site.backward_of && std::any_of(site.backward_of->begin(), site.backward_of->end(), frame_matches);
}

double growth_rate(const SiteReport& site) {
  return site.verdict == "growing" ? site.growth.bytes_per_step.value_or(site.growth.bytes_per_second) : 0;
}

std::string device_words(int device) { return device < 0 ? "host memory" : "cuda:" + std::to_string(device); }

/// `device`: whether it has to be said.
TableRow site_row(const Report& report, const SiteReport& site, const TensorSummary* tensors, bool device) {
  TableRow row{.bytes = site.live_bytes,
               .peak = at_peak(site),
               .count = site.live_count,
               .growth = growth_rate(site),
               .verdict = site.verdict,
               .path = {},
               .place = {},
               .code = {},
               .note = {}};
  const std::optional<FrameId> own = own_frame(report, site);
  if (!own) {
    row.place = "(no stack)";
  } else if (const Frame& frame = report.frames[*own]; frame.file.empty()) {
    row.place = frame.function.empty() ? "??" : frame.function;
    row.code = file_name(frame.module);
  } else {
    row.path = display_path(report, frame.file);
    row.place = frame.line > 0 ? ":" + std::to_string(frame.line) : "";
    row.code = frame.source ? utf8::trimmed(*frame.source) : frame.function;
  }
  const auto append = [&row](const std::string& more) {
    if (!more.empty()) row.note += (row.note.empty() ? "" : "  ") + more;
  };
  if (device && site.device >= 0) append(device_words(site.device));  // of others the kind says it
  if (site.backward_of) append("in backward");
  if (tensors != nullptr) append(tensor_note(*tensors));
  if (site.layer == "cuda") append(site.owner + (site.kind == "device" ? "" : ", " + site.kind));
  return row;
}

/// Adds up two rows of one line; the notes of the larger site, which comes first, stay.
void join(TableRow& row, const TableRow& other) {
  row.bytes += other.bytes;
  row.peak += other.peak;
  row.count += other.count;
  row.growth += other.growth;
  if (row.note.empty()) row.note = other.note;
}

void add_rate(TableRow& row, bool has_steps) {
  if (row.verdict != "growing") return;
  const std::string rate =
      row.growth < 0.5 ? "its graph grows" : signed_bytes(row.growth) + (has_steps ? "/step" : "/s");
  row.note = rate + (row.note.empty() ? "" : "  ") + row.note;
}

std::string group_of(const Report& report, const SiteReport& site, const std::string& group_by) {
  if (group_by == "owner") return site.owner.empty() ? "unknown" : site.owner;
  const std::optional<FrameId> own = own_frame(report, site);
  if (!own) return "(no stack)";
  const Frame& frame = report.frames[*own];
  if (group_by == "module") return frame.module.empty() ? frame.file : frame.module;
  return frame.file.empty() ? frame.module : display_path(report, frame.file);
}

void add_to(TableRow& row, const SiteReport& site) {
  row.bytes += site.live_bytes;
  row.peak += at_peak(site);
  row.count += site.live_count;
  row.growth += growth_rate(site);
  if (row.verdict.empty() || site.verdict == "growing") row.verdict = site.verdict;
}

/// A group's name, and the device: memory of one is no room on another.
using GroupKey = std::pair<std::string, int>;

/// By role of the tensors: from the listed blocks, what they leave over is unknown.
std::map<GroupKey, TableRow> rows_by_role(const Report& report, const std::vector<const SiteReport*>& sites) {
  std::unordered_map<SiteId, const SiteReport*> kept;
  std::map<GroupKey, TableRow> groups;
  const auto rest_of = [&groups](int device) -> TableRow& { return groups[{"unknown", device}]; };
  for (const SiteReport* site : sites) {
    kept[site->id] = site;
    TableRow& rest = rest_of(site->device);
    rest.bytes += site->live_bytes;
    rest.count += site->live_count;
  }
  for (const AllocationReport& allocation : report.allocations) {
    if (!allocation.tensor || kept.count(allocation.site) == 0) continue;
    const std::string& role = allocation.tensor->role;
    if (role.empty() || role == "unknown") continue;
    TableRow& row = groups[{role, allocation.device}];
    row.bytes += allocation.bytes;
    ++row.count;
    TableRow& rest = rest_of(allocation.device);
    rest.bytes -= std::min(rest.bytes, allocation.bytes);
    rest.count -= std::min<std::uint64_t>(rest.count, 1);
  }
  std::erase_if(groups, [](const auto& group) { return group.second.bytes == 0; });
  return groups;
}

void sort_rows(std::vector<TableRow>& rows, const std::string& sort) {
  std::stable_sort(rows.begin(), rows.end(), [&](const TableRow& a, const TableRow& b) {
    if (sort == "count" && a.count != b.count) return a.count > b.count;
    if (sort == "peak" && a.peak != b.peak) return a.peak > b.peak;
    if (sort == "growth" && a.growth != b.growth) return a.growth > b.growth;
    return a.bytes > b.bytes;
  });
}

}  // namespace

std::string display_path(const Report& report, const std::string& path) {
  const std::string& cwd = report.process.cwd;
  if (cwd.size() > 1 && path.size() > cwd.size() && path.compare(0, cwd.size(), cwd) == 0 && path[cwd.size()] == '/') {
    return path.substr(cwd.size() + 1);
  }
  return path;
}

std::vector<TableRow> table_rows(const Report& report, const TextOptions& options) {
  std::vector<const SiteReport*> sites;
  for (const SiteReport& site : report.sites) {
    const bool shown = site.live_bytes > 0 || (options.sort == "peak" && at_peak(site) > 0);
    if (shown && is_main_layer(report, site) && matches(report, site, options.filter)) sites.push_back(&site);
  }

  // Which device is said where there are several. Host memory has a kind that says it, but not a group of sites.
  std::set<int> devices;
  for (const SiteReport* site : sites) devices.insert(site->device);
  const bool several = devices.size() > 1;
  const bool several_gpus = devices.size() > (devices.contains(-1) ? 2u : 1u);
  std::vector<TableRow> rows;
  if (options.group_by.empty() || options.group_by == "site") {
    const auto tensors = summarise_tensors(report);
    std::unordered_map<std::string, std::size_t> known;
    for (const SiteReport* site : sites) {
      const auto found = tensors.find(site->id);
      TableRow row = site_row(report, *site, found == tensors.end() ? nullptr : &found->second, several_gpus);
      // Several sites below one line of the user's code (an allocation in each operator that it calls) are one row:
      // the report itself keeps them apart.
      std::string key = site->layer + '\0' + site->kind + '\0' + std::to_string(site->device) + '\0' + site->owner +
                        '\0' + row.verdict;
      for (const std::string* part : {&row.path, &row.place, &row.code}) key.append(1, '\0').append(*part);
      const auto [at, added] = known.try_emplace(std::move(key), rows.size());
      if (added) {
        rows.push_back(std::move(row));
      } else {
        join(rows[at->second], row);
      }
    }
    for (TableRow& row : rows) add_rate(row, report.steps.count > 0);
  } else {
    std::map<GroupKey, TableRow> groups;
    if (options.group_by == "role") {
      groups = rows_by_role(report, sites);
    } else {
      for (const SiteReport* site : sites) {
        add_to(groups[{group_of(report, *site, options.group_by), site->device}], *site);
      }
    }
    for (auto& [key, row] : groups) {
      (options.group_by == "file" ? row.path : row.place) = key.first;
      if (several) row.note = device_words(key.second);
      rows.push_back(std::move(row));
    }
  }
  sort_rows(rows, options.sort);
  return rows;
}

}  // namespace vramtrack::render
