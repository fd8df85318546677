#include "report/compare/context_bytes.hpp"

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

struct Lifetime {
  double begin = 0, end = 0;  // seconds since the Unix epoch
  bool whole = false;         // the end was seen by the process itself
};

std::optional<Lifetime> lifetime(const Report& report) {
  const std::optional<double> begin = parse_rfc3339(report.process.started_at);
  if (!begin) return std::nullopt;
  return Lifetime{*begin, *begin + report.process.duration, report.process.end.kind == "exit"};
}

/// Device memory that the process had at a moment, in seconds of its own time.
Bytes allocated_at(const Report& report, int device, double time) {
  Bytes bytes = 0;
  for (const TimelineEntry& point : report.timeline)
    if (point.layer == "cuda" && point.device == device && point.time <= time) bytes = point.live_bytes;
  return bytes;
}

Bytes allocated_at_end(const Report& report, int device) {
  Bytes bytes = 0;
  for (const LedgerEntry& entry : report.ledger)
    if (entry.device == device)
      for (const Owner& owner : entry.owners) bytes += owner.bytes;
  return bytes;
}

/// What is left for each context when `measured` ended, or nothing: somebody's end is not known.
std::optional<Bytes> share(const std::vector<Report>& reports, const Report& measured, const LedgerEntry& entry) {
  const std::optional<Lifetime> own = lifetime(measured);
  if (!entry.driver_used_bytes || !own || !own->whole) return std::nullopt;
  const std::string device = identity(measured, entry.device);
  Bytes allocated = allocated_at_end(measured, entry.device), contexts = 0;
  for (const Report& report : reports) {
    const std::optional<Lifetime> life = lifetime(report);
    if (!life) return std::nullopt;
    const double now = own->end - life->begin;
    if (&report != &measured && (now < 0 || (life->whole && life->end < own->end))) continue;
    for (const ContextReport& context : report.contexts) {
      if (identity(report, context.device) != device || context.time > now) continue;
      if (context.ended_time && *context.ended_time < now) continue;
      if (&report != &measured && !life->whole) return std::nullopt;
      ++contexts;
    }
    if (&report == &measured) continue;
    for (const LedgerEntry& other : report.ledger)
      if (identity(report, other.device) == device) allocated += allocated_at(report, other.device, now);
  }
  if (contexts == 0 || *entry.driver_used_bytes <= allocated) return std::nullopt;
  return (*entry.driver_used_bytes - allocated) / contexts;
}

}  // namespace

void share_out_contexts(std::vector<Report>& reports) {
  std::map<std::string, Bytes> smallest;
  for (const Report& report : reports) {
    for (const LedgerEntry& entry : report.ledger) {
      const std::optional<Bytes> bytes = share(reports, report, entry);
      if (!bytes || *bytes > most_bytes) continue;
      const auto [known, added] = smallest.try_emplace(identity(report, entry.device), *bytes);
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
