// The report as a value: what every renderer draws, what the JSON holds. Filled from a trace by analyse(), or from a
// report's JSON by read_report(). Plain data; strings are valid UTF-8 once here. What each member is stands in
// report.def, from which the structs are made.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "report/model/ids.hpp"

namespace vramtrack {

using Bytes = std::uint64_t;
using Json = nlohmann::ordered_json;
using BytesByName = std::map<std::string, Bytes>;

/// `schema` of the JSON report.
inline constexpr const char* schema_name = "vramtrack-report/1";

#define RECORD(type, what) struct type {
#define FIELD(type, name, initial, rule, what) type name = initial;
#define INTERNAL(type, name, initial, what) type name = initial;
#define END \
  }         \
  ;
#include "report/model/report.def"

/// Where a block lies in the address space of the device.
inline std::uint64_t place_of(const AllocationReport& block) {
  return block.mapped_at != 0 ? block.mapped_at : block.address;
}

/// Adds what another row of the same name keeps.
inline void join(HolderReport& row, const HolderReport& other) {
  row.retained_bytes += other.retained_bytes;
  row.own_bytes += other.own_bytes;
  row.blocks += other.blocks;
  if (other.verdict == "growing") row.verdict = other.verdict;
}

/// The holders of one moment at which they were looked at.
struct HolderMoment {
  std::string moment;     // exit | out_of_memory | request | look
  std::uint32_t oom = 0;  // of out_of_memory: OomReport::n
  std::uint32_t step = 0;
  double time = 0;  // seconds
  Bytes held_bytes = 0;
  std::vector<HolderReport> rows;  // a forest; children of one parent by retained_bytes, descending
  bool has_optimizer = false;      // the program is about to train, if it has not begun to
};

/// What one call site held over time, one figure a bucket (history_bands.hpp).
struct HistoryBand {
  SiteId site;
  std::vector<Bytes> bytes;
};

/// What all call sites of one role, or of one phase, held over time.
struct HistorySum {
  std::string name;
  std::vector<Bytes> bytes;
};

struct HistoryBands {
  std::string layer;
  int device = 0;
  double start = 0, interval = 0;  // seconds: bucket i begins at start + i * interval
  std::vector<std::uint32_t> steps;
  std::vector<Bytes> total_bytes;         // of all sites
  std::vector<HistoryBand> bands;         // the largest sites; what is missing to the total belongs to the others
  std::vector<HistorySum> roles, phases;  // of all sites, by what most of each one's bytes are; they add up
};

/// What a merged report says of its processes.
struct Ranks {
  std::vector<Member> members;
  std::vector<std::string> names;  // "3" for rank 3, "pid 4242 on host" for a process without a rank
  std::vector<RankSite> places;    // the largest spread first
  std::optional<RankOutlier> outlier;
};

struct Report {
  std::string at = "exit";  // exit | peak | oom | live
  Process process;
  Environment environment;
  std::vector<Total> totals;
  std::vector<LedgerEntry> ledger;
  StepCount steps;
  std::vector<SiteReport> sites;  // live_bytes descending, then by stack
  std::vector<AllocationReport> allocations;
  HolderMoment holders;               // those of the moment that shows most; no rows: never looked at
  std::vector<HolderMoment> moments;  // all that were looked into, in order of time; not in the JSON report
  Omitted allocations_omitted;
  std::vector<Frame> frames;
  std::map<std::string, std::string> build_ids;  // of the native frames' modules, by path; hex
  std::vector<TimelineEntry> timeline;
  std::vector<HistoryBands> history;  // only of a trace with --history; not in the JSON report
  std::vector<OomReport> ooms;
  std::vector<ContextReport> contexts;
  std::vector<Finding> findings;
  std::vector<BreakdownEntry> breakdown;       // of the report's moment; largest first
  std::vector<BreakdownEntry> peak_breakdown;  // of the peak
  std::vector<Advice> advice;                  // for the peak; the largest saving first
  std::vector<Mark> marks;                     // in order of time
  std::vector<Phase> phases;                   // by begin
  std::vector<Fragmentation> fragmentation;    // of devices with a caching allocator
  std::optional<Doors> doors;
  std::optional<Audit> audit;
  LossReport losses;
  Ranks ranks;  // only of a merged report
  // What the traced process noted (agent facts and the like), by key; input of the findings, not rendered as such.
  std::map<std::string, Json> notes;
};

}  // namespace vramtrack
