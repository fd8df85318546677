// The keys of a merged report: its processes, and who differs from whom.
#include "report/render/json_writer.hpp"

namespace vramtrack::render {
namespace {

constexpr std::size_t most_ranks_listed = 256;  // per place; above that, the statistics only

void write_member(JsonWriter& out, const Member& member) {
  const Process& process = member.process;
  out.begin_object();
  out.field("rank", process.rank);
  out.field("local_rank", process.local_rank);
  out.field("pid", process.pid);
  out.field("hostname", process.hostname);
  out.field("input", member.input);
  out.field("at", member.at);
  out.field("started_at", process.started_at);
  out.field("duration", process.duration);
  out.key("end");
  write_end(out, process.end);
  out.field("findings", member.findings);
  out.field("ooms", member.ooms);
  out.key("totals");
  out.begin_array();
  for (const Total& total : member.totals) {
    out.begin_object();
    out.field("layer", total.layer);
    out.field("device", total.device);
    out.field("kind", total.kind);
    out.field("live_bytes", total.live_bytes);
    out.field("live_count", total.live_count);
    out.field("peak_bytes", total.peak_bytes);
    out.field("allocated_bytes", total.allocated_bytes);
    out.end_object();
  }
  out.end_array();
  out.end_object();
}

void write_spread(JsonWriter& out, std::string_view name, const Spread& spread) {
  out.key(name);
  out.begin_object();
  out.field("min", spread.min_bytes);
  out.field("min_rank", spread.min_rank);
  out.field("median", spread.median_bytes);
  out.field("max", spread.max_bytes);
  out.field("max_rank", spread.max_rank);
  if (!spread.by_rank.empty() && spread.by_rank.size() <= most_ranks_listed) out.field("by_rank", spread.by_rank);
  out.end_object();
}

void write_place(JsonWriter& out, const RankSite& place) {
  out.begin_object();
  out.field("sites", place.sites);
  out.field("layer", place.layer);
  out.field("kind", place.kind);
  out.field("owner", place.owner);
  write_spread(out, "live_bytes", place.live_bytes);
  write_spread(out, "peak_bytes", place.peak_bytes);
  out.end_object();
}

void write_outlier(JsonWriter& out, const std::optional<RankOutlier>& outlier) {
  if (!outlier) return out.value(nullptr);
  out.begin_object();
  out.field("rank", outlier->rank);
  out.field("measure", outlier->measure);
  out.field("sites", outlier->sites);
  out.field("bytes", outlier->bytes);
  out.field("median_bytes", outlier->median_bytes);
  out.field("difference_bytes", outlier->difference_bytes());
  out.field("message", outlier->message);
  out.end_object();
}

}  // namespace

void write_ranks(JsonWriter& out, const Ranks& ranks) {
  write_array(out, "ranks", ranks.members, write_member);
  out.field("rank_names", ranks.names);
  write_array(out, "rank_sites", ranks.places, write_place);
  out.key("outlier");
  write_outlier(out, ranks.outlier);
}

}  // namespace vramtrack::render
