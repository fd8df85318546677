#include "report/load/renew.hpp"

#include <algorithm>

#include "report/analysis/process_facts.hpp"
#include "report/analysis/timeline.hpp"
#include "report/analysis/totals.hpp"

namespace vramtrack {
namespace {

struct InUse {
  Bytes torch = 0, tensors = 0;
  Bytes unused() const { return torch - std::min(torch, tensors); }
};

InUse in_use(const Report& report, int device) {
  InUse sum;
  for (const SiteReport& site : report.sites) {
    if (site.device != device) continue;
    if (site.layer == "tensor") sum.tensors += site.live_bytes;
    const bool device_memory =
        site.kind != "host_pinned" && site.kind != "registered" && site.kind != "ipc" && site.kind != "external";
    if (site.layer == "cuda" && site.owner == "torch" && device_memory) sum.torch += site.live_bytes;
  }
  return sum;
}

}  // namespace

bool renew(Report& report, const trace::TraceFile& now) {
  if (report.process.pid != static_cast<std::int64_t>(now.header.pid)) return false;
  const auto used = std::count_if(now.sites.begin(), now.sites.end(), [](const auto& site) { return site.used == 1; });
  const auto is_known = [&](const SiteReport& site) { return site.id < now.sites.size(); };
  if (static_cast<std::size_t>(used) != report.sites.size()) return false;
  if (!std::all_of(report.sites.begin(), report.sites.end(), is_known)) return false;
  // What a driver's pool keeps unused is in no site: it is taken as it was.
  for (LedgerEntry& entry : report.ledger) {
    entry.cached_bytes -= std::min(entry.cached_bytes, in_use(report, entry.device).unused());
  }
  for (SiteReport& site : report.sites) {
    const trace::Site& counters = now.sites[site.id];
    site.live_bytes = counters.live_bytes;
    site.live_count = counters.live_count;
    site.largest_bytes = counters.largest_bytes;
    site.peak_bytes = counters.own_peak_bytes;
    site.allocated_bytes = counters.allocated_bytes;
    site.allocated_count = counters.allocated_count;
    site.last_time = now.seconds(counters.last_time);
  }
  std::sort(report.sites.begin(), report.sites.end(), [](const SiteReport& a, const SiteReport& b) {
    if (a.live_bytes != b.live_bytes) return a.live_bytes > b.live_bytes;
    return a.stack != b.stack ? a.stack < b.stack : a.id < b.id;
  });
  set_times(report.process, now);
  report.steps.count = now.header.steps;
  report.steps.source = now.header.step_source == 1 ? "optimizer" : "none";
  report.totals = totals_of(now);
  report.timeline = timeline(now);
  for (LedgerEntry& entry : report.ledger) {
    const InUse now_in_use = in_use(report, entry.device);
    entry.tensors_live_bytes = now_in_use.tensors;
    entry.cached_bytes += now_in_use.unused();
  }
  return true;
}

}  // namespace vramtrack
