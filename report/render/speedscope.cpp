// speedscope's own JSON format: one "sampled" profile per layer, device and measure, unit bytes.
#include <ostream>

#include "report/analysis/call_paths.hpp"
#include "report/render/json_writer.hpp"
#include "report/render/render.hpp"

namespace vramtrack::render {
namespace {

Json frame_entry(const Frame& frame) {
  Json entry;
  entry["name"] = frame_name(frame);
  const std::string& file = frame.file.empty() ? frame.module : frame.file;
  if (!file.empty()) entry["file"] = file;
  if (frame.line > 0) entry["line"] = frame.line;
  return entry;
}

Json profile(const Report& report, const CallPaths& paths, const Compartment& compartment, const Measure& measure) {
  Json samples = Json::array(), weights = Json::array();
  Bytes total = 0;
  for (const SiteReport& site : report.sites) {
    const std::uint64_t weight = measure.of(site);
    if (weight == 0 || compartment != Compartment{site.layer, site.device}) continue;
    samples.push_back(paths.path(site));
    weights.push_back(weight);
    total += weight;
  }
  return {{"type", "sampled"},
          {"name", compartment_title(compartment) + ", " + measure.title},
          {"unit", "bytes"},
          {"startValue", 0},
          {"endValue", total},
          {"samples", std::move(samples)},
          {"weights", std::move(weights)}};
}

}  // namespace

void speedscope(const Report& report, std::ostream& out) {
  const CallPaths paths(report);
  Json document;
  document["$schema"] = "https://www.speedscope.app/file-format-schema.json";
  document["exporter"] = "vramtrack";
  document["name"] = document_title(report);
  document["activeProfileIndex"] = 0;
  Json frames = Json::array();
  for (std::size_t i = 0; i < paths.size(); ++i) frames.push_back(frame_entry(paths[FrameId(i)]));
  document["shared"]["frames"] = std::move(frames);
  Json profiles = Json::array();
  for (const Compartment& compartment : compartments(report)) {
    for (const Measure& measure : measures()) {
      if (std::string_view(measure.unit) != "bytes") continue;
      Json one = profile(report, paths, compartment, measure);
      if (!one["samples"].empty()) profiles.push_back(std::move(one));
    }
  }
  document["profiles"] = std::move(profiles);
  make_printable(document);
  out << json_text(document) << '\n';
}

}  // namespace vramtrack::render
