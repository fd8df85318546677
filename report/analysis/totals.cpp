#include "report/analysis/totals.hpp"

#include <algorithm>
#include <tuple>

namespace vramtrack {

const char* layer_name(std::uint8_t layer) { return name_of(static_cast<trace::Layer>(layer)); }

const char* kind_name(std::uint8_t kind) {
  return kind > static_cast<std::uint8_t>(trace::Kind::block) ? "device" : name_of(static_cast<trace::Kind>(kind));
}

std::vector<Total> totals_of(const trace::TraceFile& trace) {
  std::vector<Total> totals;
  for (const trace::Account& account : trace.accounts) {
    // The tensor layer has one kind: the reader gives its account again under that name.
    if (account.used != 1 || account.kind == static_cast<std::uint8_t>(trace::Kind::all)) continue;
    Total total;
    total.layer = layer_name(account.layer);
    total.kind = kind_name(account.kind);
    total.device = account.device;
    total.live_bytes = account.live_bytes;
    total.live_count = account.live_count;
    total.peak_bytes = account.peak_bytes;
    total.peak_at_time = trace.seconds(account.peak_time);
    total.peak_at_step = account.peak_step;
    total.allocated_bytes = account.allocated_bytes;
    total.allocated_count = account.allocated_count;
    total.freed_bytes = account.freed_bytes;
    total.freed_count = account.freed_count;
    totals.push_back(std::move(total));
  }
  std::stable_sort(totals.begin(), totals.end(), [](const Total& a, const Total& b) {
    return std::tuple(a.layer != "tensor", a.device < 0, a.device, a.kind) <
           std::tuple(b.layer != "tensor", b.device < 0, b.device, b.kind);
  });
  return totals;
}

}  // namespace vramtrack
