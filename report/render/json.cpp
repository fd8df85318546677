// The JSON report, "vramtrack-report/1" (docs/report.schema.json). Streams: memory use does not grow with the report.
#include <array>
#include <cstdio>
#include <ostream>

#include "report/analysis/hook_facts.hpp"
#include "report/render/holders_json.hpp"
#include "report/render/json_writer.hpp"
#include "report/render/render.hpp"

namespace vramtrack::render {
namespace {

std::string hex(std::uint64_t number) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(number));
  return text.data();
}

void write_process(JsonWriter& out, const Process& process) {
  out.begin_object(true);
  out.field("pid", process.pid);
  out.field("ppid", process.ppid);
  out.field("command", process.command);
  out.field("executable", process.executable);
  out.field("cwd", process.cwd);
  out.field("hostname", process.hostname);
  out.field("started_at", process.started_at);
  out.field_or_null("ended_at", process.ended_at);
  out.field("duration", process.duration);
  out.field("rank", process.rank);
  out.field("local_rank", process.local_rank);
  out.field("world_size", process.world_size);
  out.field("forked_from", process.forked_from);
  out.key("end");
  write_end(out, process.end);
  out.end_object();
}

void write_environment(JsonWriter& out, const Environment& environment) {
  out.begin_object(true);
  out.field("python", environment.python);
  out.field("torch", environment.torch);
  out.field("cuda_runtime", environment.cuda_runtime);
  out.field("cuda_driver", environment.cuda_driver);
  out.field("simulated", environment.simulated);
  out.key("devices");
  out.begin_array(true);
  for (const Device& device : environment.devices) {
    out.begin_object();
    out.field("index", device.index);
    out.field("name", device.name);
    out.field("total_bytes", device.total_bytes);
    out.field("uuid", device.uuid);
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

void write_total(JsonWriter& out, const Total& total) {
  out.begin_object();
  out.field("layer", total.layer);
  out.field("device", total.device);
  out.field("kind", total.kind);
  out.field("live_bytes", total.live_bytes);
  out.field("live_count", total.live_count);
  out.field("peak_bytes", total.peak_bytes);
  out.field("peak_at_time", total.peak_at_time);
  out.field("peak_at_step", total.peak_at_step);
  out.field("allocated_bytes", total.allocated_bytes);
  out.field("allocated_count", total.allocated_count);
  out.field("freed_bytes", total.freed_bytes);
  out.field("freed_count", total.freed_count);
  out.end_object();
}

void write_ledger_entry(JsonWriter& out, const LedgerEntry& entry) {
  out.begin_object();
  out.field("device", entry.device);
  out.field("total_bytes", entry.total_bytes);
  out.field("driver_used_bytes", entry.driver_used_bytes);
  out.field("tensors_live_bytes", entry.tensors_live_bytes);
  out.field("cached_bytes", entry.cached_bytes);
  out.field("largest_free_cached_block_bytes", entry.largest_free_cached_block_bytes);
  out.key("owners");
  out.begin_array();
  for (const Owner& owner : entry.owners) {
    out.begin_object();
    out.field("owner", owner.owner);
    out.field("bytes", owner.bytes);
    out.end_object();
  }
  out.end_array();
  out.field("context_and_other_bytes", entry.context_and_other_bytes);
  out.field("managed_bytes", entry.managed_bytes);
  out.end_object();
}

void write_site(JsonWriter& out, const SiteReport& site) {
  out.begin_object();
  out.field("id", site.id);
  out.field("layer", site.layer);
  out.field("kind", site.kind);
  out.field("device", site.device);
  out.field("owner", site.owner);
  out.field("live_bytes", site.live_bytes);
  out.field("live_count", site.live_count);
  out.field("largest_bytes", site.largest_bytes);
  out.field("peak_bytes", site.peak_bytes);
  out.field("at_peak_bytes", site.at_peak_bytes);
  out.field("at_peak_count", site.at_peak_count);
  out.field("allocated_bytes", site.allocated_bytes);
  out.field("allocated_count", site.allocated_count);
  out.field("first_time", site.first_time);
  out.field("last_time", site.last_time);
  out.field("verdict", site.verdict);
  out.key("growth");
  out.begin_object();
  out.field("bytes_per_step", site.growth.bytes_per_step);
  out.field("bytes_per_second", site.growth.bytes_per_second);
  out.field("steps_spanned", site.growth.steps_spanned);
  out.end_object();
  out.field("evidence", site.evidence);
  out.field("module", site.module);
  out.field("range", site.range);
  out.field_or_null("phase", site.phase);
  out.field_or_null("role", site.role);
  out.field("backward_of", site.backward_of);
  out.field("stack", site.stack);
  out.end_object();
}

void write_tensor(JsonWriter& out, const TensorFacts& tensor) {
  out.begin_object();
  out.field("shape", tensor.shape);
  out.field("dtype", tensor.dtype);
  out.field("name", tensor.name);
  out.field("role", tensor.role.empty() ? std::string("unknown") : tensor.role);
  out.field("holder", tensor.holder);
  out.field("holder_id", tensor.holder_id);
  out.end_object();
}

void write_allocation(JsonWriter& out, const AllocationReport& allocation) {
  out.begin_object();
  out.field("address", hex(allocation.address));
  out.field("bytes", allocation.bytes);
  out.field("layer", allocation.layer);
  out.field("kind", allocation.kind);
  out.field("device", allocation.device);
  out.field("stream", allocation.stream);
  out.field("site", allocation.site);
  out.field("time", allocation.time);
  out.field("step", allocation.step);
  out.field("thread", allocation.thread);
  out.key("tensor");
  if (allocation.tensor) {
    write_tensor(out, *allocation.tensor);
  } else {
    out.value(nullptr);
  }
  if (allocation.mapped_at != 0) out.field("mapped_at", hex(allocation.mapped_at));
  out.end_object();
}

void write_timeline_entry(JsonWriter& out, const TimelineEntry& entry) {
  out.begin_object();
  out.field("time", entry.time);
  out.field("step", entry.step);
  out.field("layer", entry.layer);
  out.field("device", entry.device);
  out.field("live_bytes", entry.live_bytes);
  out.field("reserved_bytes", entry.reserved_bytes);
  out.end_object();
}

void write_oom(JsonWriter& out, const OomReport& oom) {
  out.begin_object();
  out.field("n", oom.n);
  out.field("time", oom.time);
  out.field("device", oom.device);
  out.field("layer", oom.layer);
  out.field("requested_bytes", oom.requested_bytes);
  out.field("live_bytes", oom.live_bytes);
  out.field("reserved_bytes", oom.reserved_bytes);
  out.field("stack", oom.stack);
  out.key("sites");
  out.begin_array();
  for (const SiteAmount& amount : oom.sites) {
    out.begin_object();
    out.field("site", amount.site);
    out.field("live_bytes", amount.live_bytes);
    out.field("live_count", amount.live_count);
    out.end_object();
  }
  out.end_array();
  if (!oom.rank.empty()) out.field("rank", oom.rank);
  out.end_object();
}

void write_finding(JsonWriter& out, const Finding& finding) {
  out.begin_object();
  out.field("code", finding.code);
  out.field("severity", finding.severity);
  out.field("title", finding.title);
  out.field("message", finding.message);
  out.field("site", finding.site);
  out.field("file", finding.file);
  out.field("line", finding.line);
  out.field("variable", finding.variable);
  out.field("bytes", finding.bytes);
  out.field("evidence", finding.evidence);
  out.field("fix", finding.fix);
  out.field("docs", finding.docs);
  out.end_object();
}

void write_breakdown_entry(JsonWriter& out, const BreakdownEntry& entry) {
  out.begin_object();
  out.field("device", entry.device);
  out.field("role", entry.role);
  out.field("module", entry.module);
  out.field("range", entry.range);
  out.field_or_null("phase", entry.phase);
  out.field("bytes", entry.bytes);
  out.field("blocks", entry.blocks);
  out.end_object();
}

void write_advice(JsonWriter& out, const Advice& advice) {
  out.begin_object();
  out.field("code", advice.code);
  out.field("title", advice.title);
  out.field("module", advice.module);
  out.field("file", advice.file);
  out.field("line", advice.line);
  out.field("saves_bytes", advice.saves_bytes);
  out.field("basis", advice.basis);
  out.field("fix", advice.fix);
  out.end_object();
}

void write_losses(JsonWriter& out, const LossReport& losses) {
  out.begin_object();
  out.field("dropped_events", losses.dropped_events);
  out.field("unresolved_frames", losses.unresolved_frames);
  out.field("unknown_frees", losses.unknown_frees);
  out.field("torn_records", losses.torn_records);
  out.field("notes", losses.notes);
  out.end_object();
}

void write_doors(JsonWriter& out, const std::optional<Doors>& doors) {
  if (!doors) return out.value(nullptr);
  out.begin_object(true);
  out.field("runtimes", doors->runtimes);
  out.field("driver", doors->driver);
  out.field("by_name", doors->by_name);
  out.field("by_look_up", doors->by_look_up);
  out.field("unwrapped", doors->unwrapped);
  out.end_object();
}

void write_audit(JsonWriter& out, const std::optional<Audit>& audit) {
  if (!audit) return out.value(nullptr);
  out.begin_object();
  out.field("source", "cupti");
  out.field("unavailable", audit->unavailable);
  out.field("complete", audit->complete);
  out.field("handed_over", audit->handed_over);
  out.field("version", audit->version);
  out.field("allocations", audit->allocations);
  out.field("missed", audit->missed);
  out.field("recorded", audit->recorded);
  out.key("explained");
  out.begin_array();
  for (const CalledFunction& explained : audit->explained) {
    out.begin_object(true);
    out.field("function", explained.function);
    out.field("count", explained.count);
    out.end_object();
  }
  out.end_array();
  out.field("graph_peak_bytes", audit->graph_peak_bytes);
  out.key("missed_functions");
  out.begin_array();
  for (const CalledFunction& missed : audit->missed_functions) {
    out.begin_object();
    out.field("function", missed.function);
    out.field("count", missed.count);
    out.field("bytes", missed.bytes);
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

}  // namespace

void write_end(JsonWriter& out, const ProcessEnd& end) {
  out.begin_object();
  out.field("kind", end.kind);
  out.field("code", end.code);
  out.end_object();
}

void write_frame(JsonWriter& out, const Frame& frame) {
  out.begin_object();
  out.field("kind", frame.kind);
  out.field("function", frame.function);
  out.field("file", frame.file);
  out.field("line", frame.line);
  out.field("module", frame.module);
  out.field("inlined", frame.inlined);
  out.field("source", frame.source);
  out.end_object();
}

void json(const Report& report, std::ostream& stream) {
  JsonWriter out(stream);
  out.begin_object(true);
  out.field("schema", "vramtrack-report/1");
  out.field("vramtrack_version", VRAMTRACK_VERSION);
  out.field("at", report.at);
  out.key("process");
  write_process(out, report.process);
  out.key("environment");
  write_environment(out, report.environment);
  write_array(out, "totals", report.totals, write_total);
  write_array(out, "ledger", report.ledger, write_ledger_entry);
  out.key("steps");
  out.begin_object();
  out.field("count", report.steps);
  out.field("source", report.step_source);
  out.end_object();
  write_array(out, "findings", report.findings, write_finding);
  write_array(out, "breakdown", report.breakdown, write_breakdown_entry);
  write_array(out, "peak_breakdown", report.peak_breakdown, write_breakdown_entry);
  write_array(out, "advice", report.advice, write_advice);
  write_array(out, "sites", report.sites, write_site);
  write_array(out, "allocations", report.allocations, write_allocation);
  out.key("allocations_omitted");
  out.begin_object();
  out.field("count", report.omitted_count);
  out.field("bytes", report.omitted_bytes);
  out.end_object();
  out.field_or_null("holders_at", report.holders.moment);
  write_array(out, "holders", report.holders.rows, write_holder);
  write_array(out, "frames", report.frames, write_frame);
  out.key("build_ids");
  out.begin_object();
  for (const auto& [module, build_id] : report.build_ids) out.field(module, build_id);
  out.end_object();
  write_array(out, "timeline", report.timeline, write_timeline_entry);
  write_array(out, "ooms", report.ooms, write_oom);
  out.key("doors");
  write_doors(out, doors_of(report));
  out.key("audit");
  write_audit(out, audit_of(report));
  out.key("losses");
  write_losses(out, report.losses);
  if (!report.ranks.members.empty()) write_ranks(out, report.ranks);
  out.end_object();
  out.flush();
  stream << '\n';
}

}  // namespace vramtrack::render
