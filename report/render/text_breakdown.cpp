// What the memory at the peak (or when it ran out) is made of, and what would make it less. The table's rows add up to
// what PyTorch's allocator had handed out then.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <map>

#include "report/render/site_table.hpp"
#include "report/render/text_page.hpp"
#include "report/support/units.hpp"

namespace vramtrack::render {
namespace {

std::string role_name(const std::string& role) {
  constexpr std::array<std::pair<const char*, const char*>, 9> names = {{{"parameter", "parameters"},
                                                                         {"gradient", "gradients"},
                                                                         {"optimizer_state", "optimizer state"},
                                                                         {"buffer", "buffers"},
                                                                         {"activation", "saved for backward"},
                                                                         {"temporary", "temporaries"},
                                                                         {"workspace", "workspaces"},
                                                                         {"python", "held by Python"},
                                                                         {"unknown", "unknown"}}};
  for (const auto& [known, name] : names)
    if (role == known) return name;
  return role;
}

/// Parameters and the like were allocated when the model was made, whatever the step does with them.
std::string phase_name(const BreakdownEntry& entry) {
  const bool lasting = entry.role == "parameter" || entry.role == "buffer" || entry.role == "workspace" ||
                       entry.role == "optimizer_state";
  return lasting || entry.phase == "other" ? "" : entry.phase;
}

struct Row {
  Bytes bytes = 0;
  std::uint64_t blocks = 0;
  std::string role, phase, module;
};

std::vector<Row> rows_of(const std::vector<BreakdownEntry>& entries, int device) {
  std::vector<Row> rows;
  for (const BreakdownEntry& entry : entries) {
    if (entry.device != device) continue;
    Row row{entry.bytes, entry.blocks, role_name(entry.role), phase_name(entry), entry.module.value_or("")};
    if (entry.range && *entry.range != entry.phase)
      row.module += (row.module.empty() ? "<" : "  <") + *entry.range + ">";
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const Row& other) {
      return other.role == row.role && other.phase == row.phase && other.module == row.module;
    });
    if (same == rows.end()) {
      rows.push_back(std::move(row));
    } else {
      same->bytes += row.bytes;
      same->blocks += row.blocks;
    }
  }
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.bytes > b.bytes; });
  return rows;
}

std::string share(Bytes part, Bytes all) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%",
                all == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(all));
  return text.data();
}

void write_device(const TextPage& page, const std::vector<BreakdownEntry>& entries, int device,
                  const std::string& what) {
  const std::vector<Row> rows = rows_of(entries, device);
  Bytes all = 0;
  std::uint64_t blocks = 0;
  std::map<std::string, Bytes> by_role;
  std::size_t role_width = 4, shown = std::min(rows.size(), page.options.top);
  for (const Row& row : rows) {
    all += row.bytes;
    blocks += row.blocks;
    by_role[row.role] += row.bytes;
    role_width = std::max(role_width, row.role.size());
  }
  if (all == 0) return;
  page.out << '\n' << page.styled(style::bold, what + ", cuda:" + std::to_string(device)) << '\n';
  std::vector<std::pair<std::string, Bytes>> roles(by_role.begin(), by_role.end());
  std::stable_sort(roles.begin(), roles.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string line;
  for (const auto& [role, bytes] : roles)
    line += (line.empty() ? "" : ", ") + glued(role + " " + human_bytes(bytes) + " (" + share(bytes, all) + ")");
  page.write_lines(wrapped(line, page.width - 2), 2);
  page.out << page.styled(style::dim, pad_left("bytes", 10) + pad_left("share", 9) + "  " + pad_left("blocks", 6) +
                                          "  " + pad_right("what", role_width) + "  phase      module")
           << '\n';
  Bytes rest = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (i >= shown) {
      rest += row.bytes;
      continue;
    }
    const std::size_t used = 10 + 9 + 2 + 6 + 2 + role_width + 2 + 9 + 2;
    page.out << pad_left(table_bytes(row.bytes), 10) << pad_left(share(row.bytes, all), 9) << "  "
             << pad_left(human_count(row.blocks), 6) << "  " << pad_right(row.role, role_width) << "  "
             << pad_right(row.phase, 9) << "  "
             << cut_end(utf8::printable(row.module), page.width > used + 8 ? page.width - used : 8) << '\n';
  }
  if (rest > 0)
    page.out << pad_left(table_bytes(rest), 10) << pad_left(share(rest, all), 9) << "  in "
             << human_count(rows.size() - shown) << " more rows (--top " << rows.size() << " shows all)\n";
  page.out << pad_left(table_bytes(all), 10) << pad_left("100 %", 9) << "  " << pad_left(human_count(blocks), 6)
           << "  in all\n";
}

}  // namespace

void write_breakdown(const TextPage& page) {
  const bool oom = page.report.at == "oom";
  const std::vector<BreakdownEntry>& entries = oom ? page.report.breakdown : page.report.peak_breakdown;
  std::vector<int> devices;
  for (const BreakdownEntry& entry : entries)
    if (std::find(devices.begin(), devices.end(), entry.device) == devices.end()) devices.push_back(entry.device);
  for (const int device : devices)
    write_device(page, entries, device, oom ? "What filled the device" : "What the peak is made of");
}

void write_advice(const TextPage& page) {
  if (page.report.advice.empty()) return;
  page.out << '\n' << page.styled(style::bold, "What would lower the peak") << '\n';
  constexpr std::size_t most = 5;
  for (std::size_t i = 0; i < std::min(most, page.report.advice.size()); ++i) {
    const Advice& advice = page.report.advice[i];
    page.write_lines(wrapped(glued(human_bytes(advice.saves_bytes)) + " less (" + advice.basis +
                                 "): " + utf8::printable(advice.title),
                             page.width - 2),
                     2);
    page.write_wrapped(advice.fix, 4);
  }
}

}  // namespace vramtrack::render
