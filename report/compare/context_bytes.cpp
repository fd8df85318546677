#include "report/compare/context_bytes.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "report/compare/merged_timeline.hpp"

namespace vramtrack {
namespace {

/// More is no context: other programs are on the device. (On H100 and H200 one takes about 500 MiB.)
constexpr Bytes most_bytes = Bytes{3} << 29;

/// The device as all processes of the machine know it.
std::string identity(const Report& report, int index) {
  for (const Device& device : report.environment.devices)
    if (device.index == index && device.uuid) return *device.uuid;
  return report.process.hostname + ' ' + std::to_string(index);
}

/// A process of the run, and when it lived.
struct Life {
  const Report* report = nullptr;
  double begin = 0, end = 0;  // seconds since the Unix epoch
  bool whole = false;         // the end was seen by the process itself
};

/// Empty where the beginning of one is not known.
std::vector<Life> lives_of(const std::vector<Report>& reports) {
  std::vector<Life> lives;
  for (const Report& report : reports) {
    const std::optional<double> begin = parse_rfc3339(report.process.started_at);
    if (!begin) return {};
    lives.push_back({&report, *begin, *begin + report.process.duration, report.process.end.kind == "exit"});
  }
  return lives;
}

/// Device memory that a process had at a moment, in seconds of its own time.
Bytes allocated_at(const Report& report, const std::string& device, double time) {
  Bytes all = 0;
  for (const LedgerEntry& entry : report.ledger) {
    if (identity(report, entry.device) != device) continue;
    Bytes bytes = 0;
    for (const TimelineEntry& point : report.timeline)
      if (point.layer == "cuda" && point.device == entry.device && point.time <= time) bytes = point.live_bytes;
    all += bytes;
  }
  return all;
}

Bytes contexts_at(const Report& report, const std::string& device, double time) {
  return static_cast<Bytes>(std::ranges::count_if(report.contexts, [&](const ContextReport& context) {
    return identity(report, context.device) == device && context.time <= time &&
           (!context.ended_time || *context.ended_time >= time);
  }));
}

/// What is left for each context when `measured` ended, or nothing: somebody's end is not known.
std::optional<Bytes> share(const std::vector<Life>& lives, const Life& measured, const LedgerEntry& entry) {
  if (!entry.driver_used_bytes || !measured.whole) return std::nullopt;
  const std::string device = identity(*measured.report, entry.device);
  Bytes allocated = 0, contexts = 0;
  for (const Owner& owner : entry.owners) allocated += owner.bytes;
  for (const Life& life : lives) {
    const double now = measured.end - life.begin;
    const bool itself = &life == &measured;
    if (!itself && (now < 0 || (life.whole && life.end < measured.end))) continue;
    const Bytes own = contexts_at(*life.report, device, now);
    if (own > 0 && !itself && !life.whole) return std::nullopt;
    contexts += own;
    if (!itself) allocated += allocated_at(*life.report, device, now);
  }
  if (contexts == 0 || *entry.driver_used_bytes <= allocated) return std::nullopt;
  return (*entry.driver_used_bytes - allocated) / contexts;
}

}  // namespace

void share_out_contexts(std::vector<Report>& reports) {
  std::map<std::string, Bytes> smallest;
  const std::vector<Life> lives = lives_of(reports);
  for (const Life& life : lives) {
    for (const LedgerEntry& entry : life.report->ledger) {
      const std::optional<Bytes> bytes = share(lives, life, entry);
      if (!bytes || *bytes > most_bytes) continue;
      const auto [known, added] = smallest.try_emplace(identity(*life.report, entry.device), *bytes);
      if (!added) known->second = std::min(known->second, *bytes);
    }
  }
  for (Report& report : reports) {
    for (ContextReport& context : report.contexts) {
      const auto known = smallest.find(identity(report, context.device));
      if (known != smallest.end()) context.bytes = known->second;
    }
  }
}

}  // namespace vramtrack
