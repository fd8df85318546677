// The merged report: an ordinary JSON report plus who differs from whom.
#include <ostream>

#include "report/merge.hpp"
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
  out.begin_object();
  out.field("kind", process.end.kind);
  out.field("code", process.end.code);
  out.end_object();
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

void write_spread(JsonWriter& out, std::string_view name, const MergedReport& merged,
                  const std::vector<Bytes>& values) {
  const Spread spread = spread_of(values);
  out.key(name);
  out.begin_object();
  out.field("min", spread.min_bytes);
  out.field("min_rank", merged.report.ranks.names[spread.min_rank]);
  out.field("median", spread.median_bytes);
  out.field("max", spread.max_bytes);
  out.field("max_rank", merged.report.ranks.names[spread.max_rank]);
  if (values.size() <= most_ranks_listed) out.field("by_rank", values);
  out.end_object();
}

void write_place(JsonWriter& out, const MergedReport& merged, const RankSite& place) {
  out.begin_object();
  out.field("sites", place.sites);
  out.field("layer", place.layer);
  out.field("kind", place.kind);
  out.field("owner", place.owner);
  write_spread(out, "live_bytes", merged, place.live_bytes);
  write_spread(out, "peak_bytes", merged, place.peak_bytes);
  out.end_object();
}

void write_outlier(JsonWriter& out, const MergedReport& merged) {
  out.key("outlier");
  if (!merged.outlier) return out.value(nullptr);
  const RankOutlier& found = *merged.outlier;
  out.begin_object();
  out.field("rank", merged.report.ranks.names[found.outlier.rank]);
  out.field("measure", found.measure);
  out.field("sites", merged.report.ranks.places[found.place].sites);
  out.field("bytes", found.outlier.bytes);
  out.field("median_bytes", found.outlier.median_bytes);
  out.field("difference_bytes",
            static_cast<std::int64_t>(found.outlier.bytes) - static_cast<std::int64_t>(found.outlier.median_bytes));
  out.field("message", describe_outlier(merged));
  out.end_object();
}

}  // namespace

void merged_json(const MergedReport& merged, std::ostream& stream) {
  {
    JsonWriter out(stream);
    out.begin_object(true);
    write_report_fields(out, merged.report);
    out.key("ranks");
    out.begin_array(true);
    for (const Member& member : merged.report.ranks.members) write_member(out, member);
    out.end_array();
    out.key("rank_names");
    out.begin_array();
    for (const std::string& name : merged.report.ranks.names) out.value(name);
    out.end_array();
    out.key("rank_sites");
    out.begin_array(true);
    for (const RankSite& place : merged.report.ranks.places) write_place(out, merged, place);
    out.end_array();
    write_outlier(out, merged);
    out.end_object();
  }
  stream << '\n';
}

}  // namespace vramtrack::render
