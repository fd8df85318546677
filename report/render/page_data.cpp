#include "report/render/page_data.hpp"

#include <algorithm>
#include <string_view>
#include <tuple>

#include "report/findings/explanations.hpp"
#include "report/render/end_words.hpp"
#include "report/render/record_columns.hpp"

namespace vramtrack::render {
namespace {

constexpr Bytes exact_below = Bytes{1} << 53;  // JavaScript numbers are exact up to here

template <typename T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

void write_ooms(std::string& out, const Report& report, StackTree& tree) {
  out += '[';
  for (const OomReport& oom : report.ooms) {
    if (out.back() != '[') out += ',';
    Json sites = Json::array();  // id, bytes, blocks, id, bytes, blocks, ...
    for (const SiteAmount& amount : oom.sites) {
      sites.insert(sites.end(), {amount.site, amount.live_bytes, amount.live_count});
    }
    ObjectWriter entry(out);
    entry.key("n") += std::to_string(oom.n);
    append_number(entry.key("time"), oom.time);
    entry.key("device") += std::to_string(oom.device);
    entry.key("layer") += dump(Json(oom.layer));
    entry.key("requested_bytes") += std::to_string(oom.requested_bytes);
    entry.key("live_bytes") += std::to_string(oom.live_bytes);
    entry.key("reserved_bytes") += std::to_string(oom.reserved_bytes);
    entry.key("node") += std::to_string(tree.insert(oom.stack));
    entry.key("sites") += dump(sites);
    entry.key("breakdown") += json_text_of(oom.breakdown);
    entry.key("rank") += dump(Json(oom.rank));
    entry.close();
  }
  out += ']';
}

/// A merged report's processes, and the places where they differ most.
Json ranks_json(const Ranks& ranks) {
  constexpr std::size_t most_places = 60;
  if (ranks.members.empty()) return nullptr;
  Json members = Json::array();
  for (const Member& member : ranks.members) {
    Bytes live = 0, peak = 0;
    const bool tensors = std::ranges::any_of(member.totals, [](const Total& total) { return total.layer == "tensor"; });
    for (const Total& total : member.totals) {
      if (total.device < 0 || (total.layer == "tensor") != tensors) continue;
      live += total.live_bytes;
      peak += total.peak_bytes;
    }
    members.push_back({{"rank", optional_json(member.rank)},
                       {"pid", member.pid},
                       {"hostname", member.hostname},
                       {"end", {{"kind", member.end.kind}, {"code", optional_json(member.end.code)}}},
                       {"live", live},
                       {"peak", peak},
                       {"findings", member.findings},
                       {"ooms", member.ooms}});
  }
  Json places = Json::array();
  for (const RankSite& place : ranks.places) {
    const std::vector<Bytes>&live = place.live_bytes.by_rank, &peak = place.peak_bytes.by_rank;
    if (places.size() == most_places || place.sites.empty()) break;
    if (live.size() != ranks.names.size() || peak.size() != ranks.names.size()) break;
    places.push_back({{"site", place.sites.front()}, {"live", live}, {"peak", peak}});
  }
  const std::size_t rest = ranks.places.size() - places.size();
  return {{"members", members},
          {"names", ranks.names},
          {"places", places},
          {"rest", rest},
          {"outlier", ranks.outlier ? ranks.outlier->message : ""}};
}

// The blocks go out by device, layer and address: the page needs that order for its segment map, and the distance to
// the block before is short where the address is 15 digits. The page restores the order by size.
void write_blocks(std::string& out, const Report& report, ColumnNumbers numbers) {
  std::vector<const AllocationReport*> blocks;
  blocks.reserve(report.allocations.size());
  for (const AllocationReport& block : report.allocations) blocks.push_back(&block);
  std::ranges::stable_sort(blocks, [](const AllocationReport* a, const AllocationReport* b) {
    return std::tuple(a->device, std::string_view(a->layer), place_of(*a)) <
           std::tuple(b->device, std::string_view(b->layer), place_of(*b));
  });
  ObjectWriter object(out);
  RecordColumns<AllocationReport> columns(numbers);
  for (const AllocationReport* block : blocks) columns.add(*block);
  columns.write(object);
  std::uint64_t before = 0;
  object.column("address_step", blocks, [&](const AllocationReport* block) {
    const std::uint64_t address = place_of(*block) < exact_below ? place_of(*block) : 0;  // see "address_far"
    const std::int64_t step = static_cast<std::int64_t>(address) - static_cast<std::int64_t>(before);
    before = address;
    return step;
  });
  Json far = Json::object();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (place_of(*blocks[i]) < exact_below) continue;
    char hex[24] = "0x";
    *std::to_chars(hex + 2, hex + sizeof hex - 1, place_of(*blocks[i]), 16).ptr = '\0';
    far[std::to_string(i)] = hex;
  }
  object.key("address_far") += dump(far);
  object.close();
}

void write_sums(std::string& out, const std::vector<HistorySum>& sums) {
  out += '[';
  for (const HistorySum& sum : sums) {
    if (out.back() != '[') out += ',';
    ObjectWriter entry(out);
    entry.key("name") += dump(Json(sum.name));
    entry.key("length") += std::to_string(sum.bytes.size());
    entry.column("bytes", sum.bytes, [](Bytes bytes) { return bytes; });
    entry.close();
  }
  out += ']';
}

void write_history(std::string& out, const std::vector<HistoryBands>& history) {
  out += '[';
  for (const HistoryBands& plot : history) {
    if (out.back() != '[') out += ',';
    ObjectWriter object(out);
    object.key("layer") += dump(Json(plot.layer));
    object.key("device") += std::to_string(plot.device);
    append_number(object.key("start"), page_seconds(plot.start));
    append_number(object.key("interval"), plot.interval);
    object.key("length") += std::to_string(plot.total_bytes.size());
    object.column("steps", plot.steps, [](std::uint32_t step) { return step; });
    object.column("total", plot.total_bytes, [](Bytes bytes) { return bytes; });
    std::string& bands = object.key("bands");
    bands += '[';
    for (const HistoryBand& band : plot.bands) {
      if (bands.back() != '[') bands += ',';
      ObjectWriter entry(bands);
      entry.key("site") += std::to_string(band.site);
      entry.key("length") += std::to_string(band.bytes.size());
      entry.column("bytes", band.bytes, [](Bytes bytes) { return bytes; });
      entry.close();
    }
    bands += ']';
    write_sums(object.key("roles"), plot.roles);
    write_sums(object.key("phases"), plot.phases);
    object.close();
  }
  out += ']';
}

}  // namespace

std::string page_data(const Report& report, std::string_view tab) {
  StringTable strings;
  StackTree tree(report.frames.size());
  const ColumnNumbers numbers(strings, tree);
  std::string out;
  out.reserve(64 * report.allocations.size() + 256 * report.sites.size() + 65536);
  ObjectWriter object(out);
  object.key("page") += "\"report\"";
  object.key("version") += dump(Json(VRAMTRACK_VERSION));
  object.key("tab") += dump(Json(std::string(tab)));
  object.key("at") += dump(Json(report.at));
  object.key("now") += dump(Json(moment_words(report)));
  object.key("none_found") += dump(Json(none_found(report)));
  object.key("process") += json_text_of(report.process);
  object.key("environment") += json_text_of(report.environment);
  object.key("totals") += json_text_of(report.totals);
  object.key("ledger") += json_text_of(report.ledger);
  object.key("steps") += json_text_of(report.steps);
  std::vector<Finding> findings = report.findings;
  for (Finding& finding : findings) finding.docs = findings::read_on(finding);  // the page's reader has no file of ours
  object.key("findings") += json_text_of(findings);
  object.key("breakdown") += json_text_of(report.breakdown);
  object.key("peak_breakdown") += json_text_of(report.peak_breakdown);
  object.key("advice") += json_text_of(report.advice);
  write_ooms(object.key("ooms"), report, tree);
  object.key("marks") += json_text_of(report.marks);
  object.key("phases") += json_text_of(report.phases);
  std::vector<Fragmentation> fragmentation = report.fragmentation;
  for (Fragmentation& device : fragmentation) device.segments.clear();  // the page has the blocks
  object.key("fragmentation") += json_text_of(fragmentation);
  object.key("losses") += json_text_of(report.losses);
  object.key("ranks") += dump(ranks_json(report.ranks));
  object.key("omitted") += json_text_of(report.allocations_omitted);
  write_blocks(object.key("blocks"), report, numbers);  // first: the longest columns get the shortest string numbers
  write_sites(object.key("sites"), report, numbers);
  write_holders(object.key("holders"), report, numbers);
  write_frames(object.key("frames"), report, numbers);
  ObjectWriter timeline(object.key("timeline"));
  write_records(timeline, report.timeline, numbers);
  timeline.close();
  write_history(object.key("history"), report.history);
  tree.write(object.key("tree"));
  object.key("strings") += dump(Json(strings.strings()));
  object.close();
  return safe_for_script(out);
}

}  // namespace vramtrack::render
