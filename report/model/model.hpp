// The report as a value: what every renderer draws, what the JSON holds (docs/report.schema.json). Filled from a
// trace by analyse(), or from a report's JSON by read_report(). Plain data; strings are valid UTF-8 once here.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace vramtrack {

using Bytes = std::uint64_t;
using FrameId = std::uint32_t;  // index into Report::frames
using Json = nlohmann::ordered_json;

struct ProcessEnd {
  std::string kind = "unknown";  // exit | signal | killed | running | unknown
  std::optional<int> code;
};

struct Process {
  std::int64_t pid = 0, ppid = 0;
  std::vector<std::string> command;
  std::string executable, hostname, cwd;
  std::string started_at, ended_at;  // RFC 3339
  double duration = 0;               // seconds
  std::optional<int> rank, local_rank, world_size;
  std::optional<std::int64_t> forked_from;
  ProcessEnd end;
};

struct Device {
  int index = 0;
  std::string name;
  Bytes total_bytes = 0;
  std::optional<std::string> uuid = std::nullopt;  // as nvidia-smi writes it, without the prefix
};

struct Environment {
  std::optional<std::string> python, torch, cuda_runtime, cuda_driver;
  bool simulated = false;
  std::vector<Device> devices;
};

struct Total {
  std::string layer, kind;
  int device = 0;  // -1: host memory
  Bytes live_bytes = 0, peak_bytes = 0, allocated_bytes = 0, freed_bytes = 0;
  std::uint64_t live_count = 0, allocated_count = 0, freed_count = 0;
  double peak_at_time = 0;
  std::uint32_t peak_at_step = 0;
};

struct Owner {
  std::string owner;
  Bytes bytes = 0;
};

struct LedgerEntry {
  int device = 0;
  Bytes total_bytes = 0;
  std::optional<Bytes> driver_used_bytes;
  Bytes tensors_live_bytes = 0, cached_bytes = 0, largest_free_cached_block_bytes = 0;
  std::vector<Owner> owners;
  std::optional<Bytes> context_and_other_bytes;
  Bytes managed_bytes = 0;  // on the device or the host, as it is used: no part of the sums above
};

struct Growth {
  std::optional<double> bytes_per_step;
  double bytes_per_second = 0;
  std::uint32_t steps_spanned = 0;
};

struct SiteReport {
  std::uint32_t id = 0;
  std::string layer, kind, owner, verdict;
  int device = 0;
  Bytes live_bytes = 0, largest_bytes = 0, peak_bytes = 0, allocated_bytes = 0;
  std::uint64_t live_count = 0, allocated_count = 0;
  double first_time = 0, last_time = 0;
  // Held when the memory of its layer, device and kind was at its highest (peak_bytes is the site's own highest).
  std::optional<Bytes> at_peak_bytes;
  std::optional<std::uint64_t> at_peak_count;
  Growth growth;
  std::string evidence;                             // one sentence: why this verdict
  std::optional<std::string> module;                // the nn.Module that was being called, as its model names it
  std::optional<std::string> range;                 // the range that the program had opened (NVTX, vramtrack.phase)
  std::string phase, role;                          // see BreakdownEntry; "": not known
  std::optional<std::vector<FrameId>> backward_of;  // innermost first
  std::vector<FrameId> stack;                       // innermost first
};

struct TensorFacts {
  std::vector<std::int64_t> shape;
  std::string dtype, name, role, holder;
  std::optional<std::uint32_t> holder_id;  // HolderReport::id, the nearest one
};

/// Something that keeps device memory alive, or several alike (report/holders). Bytes are those of whole blocks.
struct HolderReport {
  std::uint32_t id = 0;                 // index into Report::holders
  std::optional<std::uint32_t> parent;  // a parent comes before its children
  std::string path;                     // `__main__.assistant.sessions`, `train() local losses[]`
  std::string variable;                 // the same as its own code names it: `assistant.sessions`
  std::string type;                     // class of the object, with its module
  std::string kind;  // global | local | attribute | item | graph | module | library | cxx | ipc | context
  std::optional<std::string> file;
  std::optional<int> line;   // of the statement that stores it
  bool line_adds = false;    // that statement adds to it; else it is a plain assignment
  Bytes retained_bytes = 0;  // freed when this and all of also_held_by let go
  Bytes own_bytes = 0;       // without those of its children
  std::uint64_t blocks = 0;
  std::uint64_t count = 1;               // objects that it stands for: elements of a container that are alike
  std::uint64_t elements = 0;            // parts of it that hold memory
  Bytes shown_bytes = 0;                 // of tensors: what they show of their memory; less for views
  double first_time = 0, last_time = 0;  // births of its blocks, seconds
  std::optional<std::uint32_t> first_step, last_step;
  std::optional<double> bytes_per_step, bytes_per_second;
  std::string verdict;   // steady | growing | recent | one-off
  std::string evidence;  // one sentence: why this verdict
  std::vector<std::uint32_t> also_held_by;
  std::map<std::string, Bytes> roles;
  Bytes graph_bytes = 0;  // of it, held by autograd graphs
  bool garbage = false;   // no root reaches it: a cycle
  std::string cycle;      // of garbage: what refers to what, in words of the code
  bool limited = false;   // it has a bound
  std::uint64_t generations = 1;  // objects of it that were made one after the other
  std::string library;            // file of the installed library whose object it is
  bool line_calls = false;        // `line` is the call into that library
  int idle_at = 0;                // line that ran when a variable alone held it that is not read again; 0: not so
  std::string idle_in;            // the function of that variable, "" for one of a module
  std::string known;      // what it is, when it is a holder that others met before
  std::string known_fix;
  std::vector<std::uint32_t> sites;  // SiteReport::id, most bytes first
};

/// The holders of one moment at which they were looked at.
struct HolderMoment {
  std::string moment;  // exit | out_of_memory | request | look
  std::uint32_t step = 0;
  double time = 0;  // seconds
  Bytes held_bytes = 0;
  std::vector<HolderReport> rows;  // a forest; children of one parent by retained_bytes, descending
};

struct AllocationReport {
  std::uint64_t address = 0;
  Bytes bytes = 0;
  std::string layer, kind;
  int device = 0;
  std::uint64_t stream = 0;
  std::uint32_t site = 0;  // SiteReport::id
  double time = 0;
  std::uint32_t step = 0;
  std::uint32_t thread = 0;
  std::optional<TensorFacts> tensor;
  std::uint64_t mapped_at = 0;  // kind vmm, whose address is a handle: where it was mapped last; 0: nowhere

  /// Where it lies in the address space of the device.
  std::uint64_t place() const { return mapped_at != 0 ? mapped_at : address; }
};

struct Frame {
  std::string kind;  // python | native
  std::string function, file, module;
  int line = 0;  // 0: unknown
  bool inlined = false;
  std::optional<std::string> source;  // text of the line
};

struct TimelineEntry {
  double time = 0;
  std::uint32_t step = 0;
  std::string layer;
  int device = 0;
  Bytes live_bytes = 0;
  std::optional<Bytes> reserved_bytes;
};

/// What one call site held over time, one figure a bucket (history_bands.hpp).
struct HistoryBand {
  std::uint32_t site = 0;  // SiteReport::id
  std::vector<Bytes> bytes;
};

struct HistoryBands {
  std::string layer;
  int device = 0;
  double start = 0, interval = 0;  // seconds: bucket i begins at start + i * interval
  std::vector<std::uint32_t> steps;
  std::vector<Bytes> total_bytes;  // of all sites
  std::vector<HistoryBand> bands;  // the largest sites; what is missing to the total belongs to the others
};

/// What one call site held at some moment.
struct SiteAmount {
  std::uint32_t site = 0;  // SiteReport::id
  Bytes live_bytes = 0;
  std::uint64_t live_count = 0;
};

struct OomReport {
  std::uint32_t n = 0;
  double time = 0;
  int device = 0;
  std::string layer;
  Bytes requested_bytes = 0, live_bytes = 0, reserved_bytes = 0;
  std::vector<FrameId> stack;
  std::vector<SiteAmount> sites;  // what was alive; empty for events without a snapshot
  std::string rank;               // in a merged report: whose event this is; else empty
};

struct Finding {
  std::string code, severity, title, message;  // severity: error | warning | info
  std::optional<std::uint32_t> site;
  std::optional<std::string> file, variable;
  std::optional<int> line;
  Bytes bytes = 0;
  Json evidence = Json::object();
  std::string fix, docs;
};

/// A part of what the tensor layer of a device held at some moment.
struct BreakdownEntry {
  int device = 0;
  std::string role;  // parameter | gradient | optimizer_state | buffer | activation | temporary | workspace | python |
                     // unknown
  std::optional<std::string> module, range;
  std::string phase;  // in which it was allocated: forward | backward | optimizer | data | other
  Bytes bytes = 0;
  std::uint64_t blocks = 0;
};

/// Something that would make the peak lower.
struct Advice {
  std::string code, title;
  std::optional<std::string> module, file;
  std::optional<int> line;
  Bytes saves_bytes = 0;  // of the peak
  std::string basis;      // measured | computed
  std::string fix;
};

struct LossReport {
  std::uint64_t dropped_events = 0, unresolved_frames = 0, unknown_frees = 0, torn_records = 0;
  std::vector<std::string> notes;
};

/// One merged process.
struct Member {
  std::string input;  // path
  std::string at;
  Process process;
  std::vector<Total> totals;
  std::size_t findings = 0, ooms = 0;
};

/// How a figure spreads over the ranks of a job.
struct Spread {
  Bytes min_bytes = 0, median_bytes = 0, max_bytes = 0;  // median: the lower one of an even number
  std::string min_rank, max_rank;                        // of Ranks::names
  std::vector<Bytes> by_rank;                            // none in a report read from a file of more than 256 ranks
};

/// One place in the program over all ranks; sites that differ in their device only are the same place.
struct RankSite {
  std::vector<std::uint32_t> sites;  // SiteReport::id of the merged report
  std::string layer, kind, owner;
  Spread live_bytes, peak_bytes;
};

/// The rank that stands out, and where.
struct RankOutlier {
  std::string rank;                  // of Ranks::names
  std::string measure;               // live_bytes | peak_bytes
  std::vector<std::uint32_t> sites;  // SiteReport::id of the merged report
  Bytes bytes = 0, median_bytes = 0;
  std::string message;  // one sentence: how much more or less than the others, and where
  std::int64_t difference_bytes() const {
    return static_cast<std::int64_t>(bytes) - static_cast<std::int64_t>(median_bytes);
  }
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
  std::uint32_t steps = 0;
  std::string step_source = "none";
  std::vector<SiteReport> sites;  // live_bytes descending, then by stack
  std::vector<AllocationReport> allocations;
  HolderMoment holders;               // those of the moment that shows most; no rows: never looked at
  std::vector<HolderMoment> moments;  // all that were looked into, in order of time; not in the JSON report
  std::uint64_t omitted_count = 0;
  Bytes omitted_bytes = 0;
  std::vector<Frame> frames;
  std::map<std::string, std::string> build_ids;  // of the native frames' modules, by path; hex
  std::vector<TimelineEntry> timeline;
  std::vector<HistoryBands> history;  // only of a trace with --history; not in the JSON report
  std::vector<OomReport> ooms;
  std::vector<Finding> findings;
  std::vector<BreakdownEntry> breakdown;       // of the report's moment; largest first
  std::vector<BreakdownEntry> peak_breakdown;  // of the peak
  std::vector<Advice> advice;                  // for the peak; the largest saving first
  LossReport losses;
  Ranks ranks;  // only of a merged report
  // What the traced process noted (agent facts and the like), by key; input of the findings, not rendered as such.
  std::map<std::string, Json> notes;
};

}  // namespace vramtrack
