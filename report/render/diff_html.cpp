// The diff page: a differential flame graph and the table of changes, built like the report page (dist/diff.html).
#include <algorithm>
#include <map>
#include <ostream>
#include <tuple>

#include "report/compare/diff.hpp"
#include "report/compare/line_shift.hpp"
#include "report/render/diff_shell_bytes.hpp"
#include "report/render/page_data.hpp"
#include "report/render/record_columns.hpp"

namespace vramtrack::render {
namespace {

using FrameKey = std::tuple<std::string, std::string, std::string, int>;

FrameKey key_of(const Frame& frame, int shift) {
  return {frame.kind, frame.function, frame.file.empty() ? frame.module : frame.file, frame.line + shift};
}

/// Frames of A as frames of `joint`, which starts as B's: the same place under its number of B, lines that moved with
/// their function included; what only A has is added.
std::vector<FrameId> join_frames(const Diff& diff, Report& joint) {
  std::map<FrameKey, FrameId> known;
  for (std::size_t i = 0; i < joint.frames.size(); ++i) {
    known.try_emplace(key_of(joint.frames[i], 0), FrameId(i));
  }
  const LineShifts shifts(*diff.a, *diff.b);
  std::vector<FrameId> of_a;
  for (const Frame& frame : diff.a->frames) {
    const auto next = FrameId(joint.frames.size());
    const auto [place, added] = known.try_emplace(key_of(frame, shifts.of(frame)), next);
    if (added) joint.frames.push_back(frame);
    of_a.push_back(place->second);
  }
  return of_a;
}

std::vector<FrameId> renumber(const std::vector<FrameId>& stack, const std::vector<FrameId>& numbers) {
  std::vector<FrameId> out;
  for (const FrameId frame : stack) {
    if (frame < numbers.size()) out.push_back(numbers[frame]);
  }
  return out;
}

/// A report of the changed sites: B's stack where there is one; live bytes are the larger of both, which is what the
/// page draws as width.
Report joint_report(const Diff& diff) {
  Report joint;
  joint.process = diff.b->process;
  joint.frames = diff.b->frames;
  const std::vector<FrameId> of_a = join_frames(diff, joint);
  for (const SiteChange& change : diff.sites) {
    SiteReport site = change.site();
    if (change.b == nullptr) {
      site.stack = renumber(site.stack, of_a);
      if (site.backward_of) site.backward_of = renumber(*site.backward_of, of_a);
    }
    site.id = SiteId(joint.sites.size());
    site.live_bytes = std::max(change.a_bytes, change.b_bytes);
    site.live_count = std::max(change.a_count, change.b_count);
    joint.sites.push_back(std::move(site));
  }
  return joint;
}

Json run_json(const Report& report) {
  return {{"command", report.process.command},
          {"executable", report.process.executable},
          {"pid", report.process.pid},
          {"started_at", report.process.started_at},
          {"duration", report.process.duration},
          {"steps", report.steps.count},
          {"at", report.at}};
}

}  // namespace

void diff_html(const Diff& diff, std::ostream& out) {
  const Report joint = joint_report(diff);
  StringTable strings;
  StackTree tree(joint.frames.size());
  std::string text;
  ObjectWriter object(text);
  object.key("page") += "\"diff\"";
  object.key("version") += dump(Json(VRAMTRACK_VERSION));
  object.key("by") += dump(Json(to_string(diff.by)));
  object.key("a") += dump(run_json(*diff.a));
  object.key("b") += dump(run_json(*diff.b));
  Json totals = Json::array();
  for (const TotalChange& total : diff.totals) {
    totals.push_back({{"layer", total.layer}, {"device", total.device}, {"a", total.a_bytes}, {"b", total.b_bytes}});
  }
  object.key("totals") += dump(totals);
  const ColumnNumbers numbers(strings, tree);
  write_sites(object.key("sites"), joint, numbers);
  {
    using Site = const SiteChange&;
    ObjectWriter changes(object.key("changes"));
    changes.key("length") += std::to_string(diff.sites.size());
    changes.column("a", diff.sites, [](Site site) { return site.a_bytes; });
    changes.column("b", diff.sites, [](Site site) { return site.b_bytes; });
    changes.column("count_a", diff.sites, [](Site site) { return site.a_count; });
    changes.column("count_b", diff.sites, [](Site site) { return site.b_count; });
    changes.column("change", diff.sites, [&](Site site) { return strings(to_string(site.change)); });
    changes.close();
  }
  write_frames(object.key("frames"), joint, numbers);
  tree.write(object.key("tree"));
  object.key("strings") += dump(Json(strings.strings()));
  object.close();
  const PageShell shell = split_shell(diff_shell_bytes());
  out << shell.before << safe_for_script(text) << shell.after;
}

}  // namespace vramtrack::render
