// The pickle that torch.cuda.memory._dump_snapshot writes, for torch.cuda._memory_viz and the viewers built on it.
// Segments and live blocks with their stacks, and the events that led to them (those of live blocks only).
#include <algorithm>
#include <cmath>
#include <map>
#include <ostream>

#include "report/analysis/call_paths.hpp"
#include "report/render/pickle.hpp"
#include "report/render/render.hpp"
#include "report/render/segments.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::render {
namespace {

constexpr Bytes largest_small_segment = 2u << 20;  // PyTorch: smaller requests share segments of 2 MiB

class SnapshotBuilder {
 public:
  explicit SnapshotBuilder(const Report& report)
      : report_(report), paths_(report), segments_(rebuild_segments(report)) {}

  std::string build();

 private:
  void field(const char* key, std::uint64_t value) {
    out_.text(key);
    out_.integer(value);
  }
  void field(const char* key, const std::string& value) {
    out_.text(key);
    out_.text(value);
  }
  void frame(FrameId id);
  void frames(const SiteReport* site);
  void block(const SegmentBlock& block);
  void segment(const Segment& segment);
  void trace(int device);

  const Report& report_;
  CallPaths paths_;
  std::vector<Segment> segments_;
  PickleWriter out_;
  std::map<FrameId, std::uint32_t> frame_ids_;
  std::map<const SiteReport*, std::uint32_t> stack_ids_;
};

void SnapshotBuilder::frame(FrameId id) {
  if (const auto known = frame_ids_.find(id); known != frame_ids_.end()) return out_.recall(known->second);
  const Frame& frame = paths_[id];
  out_.begin_dict();
  // PyTorch names a function without its class.
  const std::string name = frame_name(frame);
  field("name", frame.kind == "python" ? name.substr(name.rfind('.') + 1) : name);
  field("filename", utf8::printable(frame.file.empty() ? frame.module : frame.file));
  field("line", static_cast<std::uint64_t>(std::max(frame.line, 0)));
  out_.end_dict();
  frame_ids_[id] = out_.remember();
}

void SnapshotBuilder::frames(const SiteReport* site) {
  out_.text("frames");
  if (const auto known = stack_ids_.find(site); known != stack_ids_.end()) return out_.recall(known->second);
  PickleList list(out_);
  if (site != nullptr) {
    const std::vector<FrameId> path = paths_.path(*site);
    for (auto id = path.rbegin(); id != path.rend(); ++id) {  // innermost first
      list.next();
      frame(*id);
    }
  }
  list.end();
  stack_ids_[site] = out_.remember();
}

void SnapshotBuilder::block(const SegmentBlock& block) {
  out_.begin_dict();
  field("address", block.address);
  field("size", block.bytes);
  field("requested_size", block.bytes);
  field("state", block.live ? "active_allocated" : "inactive");
  frames(block.site);
  if (block.allocation != nullptr && block.allocation->tensor) {
    const TensorFacts& tensor = *block.allocation->tensor;
    std::string shape;
    for (const std::int64_t extent : tensor.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(extent);
    field("user_metadata", tensor.name + " " + tensor.dtype + "[" + shape + "] " + tensor.role);
  }
  out_.end_dict();
}

void SnapshotBuilder::segment(const Segment& segment) {
  Bytes live = 0;
  for (const SegmentBlock& block : segment.blocks) live += block.live ? block.bytes : 0;
  out_.begin_dict();
  field("device", static_cast<std::uint64_t>(segment.device));
  field("address", segment.address);
  field("total_size", segment.bytes);
  field("allocated_size", live);
  field("active_size", live);
  field("requested_size", live);
  field("stream", segment.stream);
  field("segment_type",
        (segment.expandable ? segment.piece_bytes : segment.bytes) <= largest_small_segment ? "small" : "large");
  out_.text("segment_pool_id");
  out_.integer(0);
  out_.integer(0);
  out_.pair();
  out_.text("is_expandable");
  out_.boolean(segment.expandable);
  frames(segment.site);
  out_.text("blocks");
  PickleList blocks(out_);
  for (const SegmentBlock& one : segment.blocks) {
    blocks.next();
    block(one);
  }
  blocks.end();
  out_.end_dict();
}

void SnapshotBuilder::trace(int device) {
  struct Event {
    double time;
    bool is_block;
    const Segment* segment;
    const SegmentBlock* block;
  };
  std::vector<Event> events;
  for (const Segment& segment : segments_) {
    if (segment.device != device) continue;
    events.push_back({segment.time, false, &segment, nullptr});
    for (const SegmentBlock& block : segment.blocks) {
      if (!block.live) continue;
      const double time = block.allocation != nullptr ? block.allocation->time : 0;
      events.push_back({std::max(segment.time, time), true, &segment, &block});  // never before its segment
    }
  }
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::pair(a.time, a.is_block) < std::pair(b.time, b.is_block);
  });
  PickleList list(out_);
  for (const Event& event : events) {
    list.next();
    out_.begin_dict();
    field("action", event.is_block ? "alloc" : "segment_alloc");
    field("addr", event.is_block ? event.block->address : event.segment->address);
    field("size", event.is_block ? event.block->bytes : event.segment->bytes);
    field("stream", event.segment->stream);
    field("time_us", whole(event.time * 1e6));
    frames(event.is_block ? event.block->site : event.segment->site);
    out_.end_dict();
  }
  list.end();
}

std::string SnapshotBuilder::build() {
  int devices = 0;
  for (const Device& device : report_.environment.devices) devices = std::max(devices, device.index + 1);
  for (const Segment& segment : segments_) devices = std::max(devices, segment.device + 1);
  out_.begin_dict();
  out_.text("segments");
  PickleList segments(out_);
  for (const Segment& one : segments_) {
    segments.next();
    segment(one);
  }
  segments.end();
  out_.text("device_traces");  // by device index
  PickleList traces(out_);
  for (int device = 0; device < devices; ++device) {
    traces.next();
    trace(device);
  }
  traces.end();
  out_.text("allocator_settings");
  out_.begin_dict();
  out_.end_dict();
  out_.text("external_annotations");
  PickleList(out_).end();
  out_.end_dict();
  return out_.finish();
}

}  // namespace

void torch_snapshot(const Report& report, std::ostream& out) { out << SnapshotBuilder(report).build(); }

}  // namespace vramtrack::render
