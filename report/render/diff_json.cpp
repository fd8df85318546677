// `vramtrack diff --format json`: "vramtrack-diff/1".
#include <ostream>
#include <unordered_map>

#include "report/compare/diff.hpp"
#include "report/render/record_json.hpp"

namespace vramtrack::render {
namespace {

/// The frames of both reports in one table, each written once.
class FrameTable {
 public:
  FrameId id(const Report& report, FrameId frame) {
    const Frame* key = &report.frames[frame];
    const auto [at, fresh] = ids_.emplace(key, FrameId(frames_.size()));
    if (fresh) frames_.push_back(key);
    return at->second;
  }

  std::vector<FrameId> ids(const Report& report, const std::vector<FrameId>& stack) {
    std::vector<FrameId> mapped;
    for (const FrameId frame : stack) {
      if (frame < report.frames.size()) mapped.push_back(id(report, frame));
    }
    return mapped;
  }

  const std::vector<const Frame*>& frames() const { return frames_; }

 private:
  std::unordered_map<const Frame*, FrameId> ids_;
  std::vector<const Frame*> frames_;
};

void write_side(JsonWriter& out, std::string_view name, const Report& report) {
  out.key(name);
  out.begin_object();
  out.field("at", report.at);
  out.field("pid", report.process.pid);
  out.field("rank", report.process.rank);
  out.field("hostname", report.process.hostname);
  out.field("started_at", report.process.started_at);
  out.field("command", report.process.command);
  out.end_object();
}

void write_total(JsonWriter& out, const TotalChange& total) {
  out.begin_object();
  out.field("layer", total.layer);
  out.field("device", total.device);
  out.field("a_bytes", total.a_bytes);
  out.field("b_bytes", total.b_bytes);
  out.field("delta_bytes", total.delta());
  out.end_object();
}

void write_summary(JsonWriter& out, const Diff& diff) {
  out.key("summary");
  out.begin_object();
  for (const Change change : {Change::appeared, Change::grew, Change::shrank, Change::went, Change::same}) {
    std::uint64_t sites = 0;
    std::int64_t bytes = 0;
    for (const SiteChange& site : diff.sites) {
      if (site.change != change) continue;
      ++sites;
      bytes += site.delta();
    }
    out.key(to_string(change));
    out.begin_object();
    out.field("sites", sites);
    out.field("delta_bytes", bytes);
    out.end_object();
  }
  out.end_object();
}

void write_site_side(JsonWriter& out, std::string_view name, const SiteReport* site, Bytes bytes, std::uint64_t count) {
  out.key(name);
  if (site == nullptr) return out.value(nullptr);
  out.begin_object();
  out.field("id", site->id);
  out.field("bytes", bytes);
  out.field("count", count);
  out.field("verdict", site->verdict);
  out.end_object();
}

void write_site(JsonWriter& out, const Diff& diff, const SiteChange& change, FrameTable& frames) {
  const SiteReport& site = change.site();
  const Report& report = diff.frames_of(change);
  out.begin_object();
  out.field("change", to_string(change.change));
  out.field("delta_bytes", change.delta());
  out.field("layer", site.layer);
  out.field("kind", site.kind);
  out.field("device", site.device);
  out.field("owner", site.owner);
  write_site_side(out, "a", change.a, change.a_bytes, change.a_count);
  write_site_side(out, "b", change.b, change.b_bytes, change.b_count);
  out.key("backward_of");
  if (site.backward_of) {
    out.value(frames.ids(report, *site.backward_of));
  } else {
    out.value(nullptr);
  }
  out.field("stack", frames.ids(report, site.stack));
  out.end_object();
}

}  // namespace

void diff_json(const Diff& diff, std::ostream& stream) {
  JsonWriter out(stream);
  FrameTable frames;
  out.begin_object(true);
  out.field("schema", "vramtrack-diff/1");
  out.field("vramtrack_version", VRAMTRACK_VERSION);
  out.field("by", to_string(diff.by));
  write_side(out, "a", *diff.a);
  write_side(out, "b", *diff.b);
  write_array(out, "totals", diff.totals, write_total);
  write_summary(out, diff);
  write_array(out, "sites", diff.sites,
              [&](JsonWriter&, const SiteChange& change) { write_site(out, diff, change, frames); });
  write_array(out, "frames", frames.frames(), [](JsonWriter& to, const Frame* frame) { write_record(to, *frame); });
  out.end_object();
  out.flush();
  stream << '\n';
}

}  // namespace vramtrack::render
