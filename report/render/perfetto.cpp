// A Perfetto trace: heap profiles draw flame graphs (one heap per layer and device), counter tracks draw memory over
// time, instants mark peaks and out-of-memory events. Times are nanoseconds since process start.
#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>
#include <set>

#include "report/analysis/call_paths.hpp"
#include "report/model/sites.hpp"
#include "report/render/protobuf.hpp"
#include "report/render/render.hpp"
#include "report/support/units.hpp"

namespace vramtrack::render {
namespace {

// Field numbers of Perfetto's messages (protos/perfetto/trace).
namespace trace_field {
enum { packet = 1 };
}
namespace packet_field {
enum {
  process_tree = 2,
  timestamp = 8,
  trusted_packet_sequence_id = 10,
  track_event = 11,
  interned_data = 12,
  sequence_flags = 13,
  profile_packet = 37,
  track_descriptor = 60
};
}
namespace interned_field {
enum {
  function_names = 5,
  frames = 6,
  callstacks = 7,
  build_ids = 16,
  mapping_paths = 17,
  source_paths = 18,
  mappings = 19
};
}
namespace string_field {
enum { iid = 1, str };
}
namespace mapping_field {
enum { iid = 1, build_id = 2, path_string_ids = 7 };
}
namespace frame_field {
enum { iid = 1, function_name_id, mapping_id, rel_pc, source_path_iid, line_number };
}
namespace callstack_field {
enum { iid = 1, frame_ids };
}
namespace profile_field {
enum { process_dumps = 5, index = 7 };
}
namespace dump_field {
enum { pid = 1, samples = 2, timestamp = 9, heap_name = 11, sampling_interval_bytes = 12 };
}
namespace heap_sample_field {
enum { callstack_id = 1, self_allocated, self_freed, alloc_count = 5, free_count };
}
namespace descriptor_field {
enum { uuid = 1, name, process, parent_uuid = 5, counter = 8 };
}
namespace process_field {
enum { pid = 1, cmdline = 2, process_name = 6 };
}
namespace tree_field {
enum { processes = 1 };
}
namespace tree_process_field {
enum { pid = 1, ppid, cmdline };
}
namespace counter_field {
enum { unit = 3 };
}
namespace event_field {
enum { type = 9, track_uuid = 11, name = 23, counter_value = 30 };
}
enum { incremental_state_cleared = 1, needs_incremental_state = 2 };
enum { type_instant = 3, type_counter = 4 };
enum { unit_size_bytes = 3 };

constexpr std::uint64_t sequence = 1;
constexpr std::uint64_t process_track = 1, event_track = 2, first_counter_track = 16;

std::uint64_t nanoseconds(double seconds) {
  return whole(seconds * 1e9) + 1;  // 0 means "not set"
}

class TraceBuilder {
 public:
  TraceBuilder(const Report& report, std::ostream& out) : report_(report), paths_(report), out_(out) {}

  void build() {
    describe_process();
    write_counters();
    write_events();
    write_heaps();
  }

 private:
  void write(ProtobufMessage& packet, std::uint64_t flags = needs_incremental_state) {
    packet.number(packet_field::trusted_packet_sequence_id, sequence);
    packet.number(packet_field::sequence_flags, flags);
    ProtobufMessage trace;  // a trace is nothing but its packets: each can be written by itself
    trace.message(trace_field::packet, packet);
    out_ << trace.bytes();
  }

  void describe_process();
  void describe_track(std::uint64_t uuid, const std::string& name, bool counter);
  void write_counter(std::uint64_t track, double time, Bytes value);
  void write_counters();
  void write_instant(double time, const std::string& name);
  void write_events();

  std::uint64_t intern(std::uint32_t field, const std::string& value);
  std::uint64_t mapping(const std::string& path);
  void intern_frame(FrameId id);
  std::uint64_t callstack(const std::vector<FrameId>& path);
  double moment(const Compartment& compartment) const;
  ProtobufMessage heap(const Compartment& compartment);
  void write_heaps();

  const Report& report_;
  CallPaths paths_;
  std::ostream& out_;
  ProtobufMessage interned_;
  std::map<std::pair<std::uint32_t, std::string>, std::uint64_t> strings_;
  std::map<std::string, std::uint64_t> mappings_;
  std::set<FrameId> frames_;
  std::map<std::vector<FrameId>, std::uint64_t> callstacks_;
};

void TraceBuilder::describe_process() {
  const auto pid = report_.process.pid;
  ProtobufMessage entry;
  entry.integer(tree_process_field::pid, pid);
  entry.integer(tree_process_field::ppid, report_.process.ppid);
  for (const std::string& word : report_.process.command) entry.text(tree_process_field::cmdline, word);
  ProtobufMessage tree;
  tree.message(tree_field::processes, entry);
  ProtobufMessage packet;
  packet.number(packet_field::timestamp, nanoseconds(0));
  packet.message(packet_field::process_tree, tree);
  write(packet, incremental_state_cleared | needs_incremental_state);

  ProtobufMessage process;
  process.integer(process_field::pid, pid);
  for (const std::string& word : report_.process.command) process.text(process_field::cmdline, word);
  process.text(process_field::process_name, file_name(report_.process.executable));
  ProtobufMessage descriptor;
  descriptor.number(descriptor_field::uuid, process_track);
  descriptor.message(descriptor_field::process, process);
  ProtobufMessage track;
  track.message(packet_field::track_descriptor, descriptor);
  write(track);
}

void TraceBuilder::describe_track(std::uint64_t uuid, const std::string& name, bool counter) {
  ProtobufMessage descriptor;
  descriptor.number(descriptor_field::uuid, uuid);
  descriptor.number(descriptor_field::parent_uuid, process_track);
  descriptor.text(descriptor_field::name, name);
  if (counter) {
    ProtobufMessage bytes;
    bytes.number(counter_field::unit, unit_size_bytes);
    descriptor.message(descriptor_field::counter, bytes);
  }
  ProtobufMessage packet;
  packet.message(packet_field::track_descriptor, descriptor);
  write(packet);
}

void TraceBuilder::write_counter(std::uint64_t track, double time, Bytes value) {
  ProtobufMessage event;
  event.number(event_field::type, type_counter);
  event.number(event_field::track_uuid, track);
  event.integer(event_field::counter_value, static_cast<std::int64_t>(value));
  ProtobufMessage packet;
  packet.number(packet_field::timestamp, nanoseconds(time));
  packet.message(packet_field::track_event, event);
  write(packet);
}

void TraceBuilder::write_counters() {
  std::map<std::string, std::uint64_t> tracks;
  const auto track = [&](const std::string& name) {
    const auto [at, fresh] = tracks.emplace(name, first_counter_track + tracks.size());
    if (fresh) describe_track(at->second, name, true);
    return at->second;
  };
  for (const TimelineEntry& point : report_.timeline) {
    write_counter(track(compartment_title({point.layer, point.device}) + ": live"), point.time, point.live_bytes);
    if (point.reserved_bytes) {
      write_counter(track(compartment_title({point.layer, point.device}) + ": reserved by the allocator"), point.time,
                    *point.reserved_bytes);
    }
  }
}

void TraceBuilder::write_instant(double time, const std::string& name) {
  ProtobufMessage event;
  event.number(event_field::type, type_instant);
  event.number(event_field::track_uuid, event_track);
  event.text(event_field::name, name);
  ProtobufMessage packet;
  packet.number(packet_field::timestamp, nanoseconds(time));
  packet.message(packet_field::track_event, event);
  write(packet);
}

void TraceBuilder::write_events() {
  describe_track(event_track, "memory events", false);
  for (const OomReport& oom : report_.ooms) {
    write_instant(oom.time, "out of memory on " + device_name(oom.device) + ": " + std::to_string(oom.requested_bytes) +
                                " bytes requested");
  }
  for (const Mark& mark : report_.marks) write_instant(mark.time, mark.name);
  for (const Total& total : report_.totals) {
    if (total.peak_bytes == 0) continue;
    write_instant(total.peak_at_time, "peak of " + total.layer + " " + total.kind + " on " + device_name(total.device) +
                                          ": " + std::to_string(total.peak_bytes) + " bytes");
  }
}

std::uint64_t TraceBuilder::intern(std::uint32_t field, const std::string& value) {
  const auto [at, fresh] = strings_.emplace(std::pair(field, value), strings_.size() + 1);
  if (fresh) {
    ProtobufMessage entry;
    entry.number(string_field::iid, at->second);
    entry.text(string_field::str, value);
    interned_.message(field, entry);
  }
  return at->second;
}

std::uint64_t TraceBuilder::mapping(const std::string& path) {
  const auto [at, fresh] = mappings_.emplace(path, mappings_.size() + 1);
  if (fresh) {
    const auto build_id = report_.build_ids.find(path);
    ProtobufMessage entry;
    entry.number(mapping_field::iid, at->second);
    entry.number(mapping_field::build_id,
                 intern(interned_field::build_ids, build_id == report_.build_ids.end() ? "" : build_id->second));
    // Perfetto puts a slash before every component.
    entry.number(mapping_field::path_string_ids,
                 intern(interned_field::mapping_paths, path.starts_with('/') ? path.substr(1) : path));
    interned_.message(interned_field::mappings, entry);
  }
  return at->second;
}

void TraceBuilder::intern_frame(FrameId id) {
  if (!frames_.insert(id).second) return;
  const Frame& frame = paths_[id];
  std::string name = frame_name(frame);
  if (!frame.file.empty()) name += " (" + std::string(file_name(frame.file)) + ":" + std::to_string(frame.line) + ")";
  ProtobufMessage entry;
  entry.number(frame_field::iid, id + 1);
  entry.number(frame_field::function_name_id, intern(interned_field::function_names, name));
  entry.number(frame_field::mapping_id, mapping(frame.module.empty() ? frame.file : frame.module));
  entry.number(frame_field::rel_pc, id + 1);  // no address: anything that tells two lines of a function apart
  if (!frame.file.empty()) {
    entry.number(frame_field::source_path_iid, intern(interned_field::source_paths, frame.file));
    entry.number(frame_field::line_number, static_cast<std::uint32_t>(std::max(frame.line, 0)));
  }
  interned_.message(interned_field::frames, entry);
}

std::uint64_t TraceBuilder::callstack(const std::vector<FrameId>& path) {
  const auto [at, fresh] = callstacks_.emplace(path, callstacks_.size() + 1);
  if (fresh) {
    ProtobufMessage entry;
    entry.number(callstack_field::iid, at->second);
    for (const FrameId id : path) {  // outermost first, as Perfetto wants it
      intern_frame(id);
      entry.number(callstack_field::frame_ids, id + 1);
    }
    interned_.message(interned_field::callstacks, entry);
  }
  return at->second;
}

/// What is live at the report's moment. At the peak nothing else is known, so that allocated = live there.
ProtobufMessage TraceBuilder::heap(const Compartment& compartment) {
  ProtobufMessage dump;
  dump.integer(dump_field::pid, report_.process.pid);
  dump.text(dump_field::heap_name, compartment_title(compartment) + (report_.at == "peak" ? " (at the peak)" : ""));
  dump.number(dump_field::timestamp, nanoseconds(moment(compartment)));
  dump.number(dump_field::sampling_interval_bytes, 1);  // every allocation is recorded
  for (const SiteReport& site : report_.sites) {
    if (Compartment{site.layer, site.device} != compartment) continue;
    const bool peak = report_.at == "peak";
    const std::uint64_t bytes = peak ? site.live_bytes : std::max(site.allocated_bytes, site.live_bytes);
    const std::uint64_t count = peak ? site.live_count : std::max(site.allocated_count, site.live_count);
    ProtobufMessage sample;
    sample.number(heap_sample_field::callstack_id, callstack(paths_.path(site)));
    sample.number(heap_sample_field::self_allocated, bytes);
    sample.number(heap_sample_field::self_freed, bytes - site.live_bytes);
    sample.number(heap_sample_field::alloc_count, count);
    sample.number(heap_sample_field::free_count, count - site.live_count);
    dump.message(dump_field::samples, sample);
  }
  return dump;
}

/// Seconds since start of what the report shows.
double TraceBuilder::moment(const Compartment& compartment) const {
  double time = report_.process.duration;
  Bytes largest = 0;
  for (const Total& total : report_.totals) {
    if (report_.at != "peak" || Compartment{total.layer, total.device} != compartment) continue;
    if (total.peak_bytes < largest) continue;
    largest = total.peak_bytes;
    time = total.peak_at_time;
  }
  if (report_.at == "oom" && report_.ooms.size() == 1) time = report_.ooms.front().time;
  return time;
}

void TraceBuilder::write_heaps() {
  ProtobufMessage profile;
  for (const Compartment& compartment : compartments(report_)) {
    profile.message(profile_field::process_dumps, heap(compartment));
  }
  profile.number(profile_field::index, 0);
  ProtobufMessage packet;
  packet.number(packet_field::timestamp, nanoseconds(report_.process.duration));
  packet.message(packet_field::interned_data, interned_);
  packet.message(packet_field::profile_packet, profile);
  write(packet);
}

}  // namespace

void perfetto(const Report& report, std::ostream& out) { TraceBuilder(report, out).build(); }

}  // namespace vramtrack::render
