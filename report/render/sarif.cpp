// SARIF 2.1.0 (OASIS): what code scanning services read.
#include <algorithm>
#include <ostream>

#include "report/findings/explanations.hpp"
#include "report/render/ci.hpp"
#include "report/render/json_writer.hpp"

namespace vramtrack::render {
namespace {

/// A path as a relative or file: URI.
std::string uri(const std::string& path) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string result = path.starts_with('/') ? "file://" : "";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
    if (plain || std::string_view("-._~/").find(c) != std::string_view::npos)
      result += c;
    else
      ((result += '%') += digits[byte >> 4]) += digits[byte & 15];
  }
  return result;
}

Json location(const Report& report, const std::string& file, int line, const std::string& root) {
  const std::string path = below_root(report, file, root);
  Json artifact{{"uri", uri(path)}};
  if (!path.starts_with('/')) artifact["uriBaseId"] = "SRCROOT";
  Json physical{{"artifactLocation", std::move(artifact)}};
  if (line > 0) physical["region"] = Json{{"startLine", line}};
  return Json{{"physicalLocation", std::move(physical)}};
}

Json stack(const Report& report, const SiteReport& site, const std::string& root) {
  Json frames = Json::array();
  for (const FrameId id : site.stack) {
    const Frame& frame = report.frames[id];
    if (frame.kind != "python" || frame.file.empty() || frame.file.starts_with('<')) continue;
    Json entry{{"location", location(report, frame.file, frame.line, root)}};
    entry["location"]["logicalLocations"] = Json::array({Json{{"fullyQualifiedName", frame.function}}});
    frames.push_back(std::move(entry));
  }
  return Json{{"message", {{"text", "where the memory was allocated"}}}, {"frames", std::move(frames)}};
}

Json result(const Report& report, const Finding& finding, std::size_t rule, const std::string& root) {
  const std::string level = finding.severity == "info" ? "note" : finding.severity;
  Json entry{{"ruleId", finding.code},
             {"ruleIndex", rule},
             {"level", level},
             {"message", {{"text", finding.message + (finding.fix.empty() ? "" : "\nFix: " + finding.fix)}}}};
  const bool placed = finding.file && !finding.file->empty();
  if (placed) entry["locations"] = Json::array({location(report, *finding.file, finding.line.value_or(0), root)});
  if (finding.site) {
    const auto site = std::find_if(report.sites.begin(), report.sites.end(),
                                   [&](const SiteReport& one) { return one.id == *finding.site; });
    if (site != report.sites.end()) entry["stacks"] = Json::array({stack(report, *site, root)});
  }
  // The same problem in the next run, though the lines around it have moved.
  entry["partialFingerprints"] =
      Json{{"vramtrack/v1", finding.code + ":" + (placed ? below_root(report, *finding.file, root) : "") + ":" +
                                finding.variable.value_or("")}};
  entry["properties"] = Json{{"bytes", finding.bytes}, {"title", finding.title}};
  if (finding.variable) entry["properties"]["variable"] = *finding.variable;
  return entry;
}

}  // namespace

void sarif(const Report& report, const std::string& root, std::ostream& out) {
  Json rules = Json::array(), results = Json::array();
  for (const Finding& finding : report.findings) {
    std::size_t rule = 0;
    while (rule < rules.size() && rules[rule]["id"] != finding.code) ++rule;
    if (rule == rules.size()) {
      const findings::Explanation* const page = findings::explanation(finding.code);
      rules.push_back(Json{{"id", finding.code},
                           {"shortDescription", {{"text", finding.title}}},
                           {"help", {{"text", page == nullptr ? finding.title : page->text}}}});
      if (page != nullptr) rules.back()["help"]["markdown"] = page->text;
    }
    results.push_back(result(report, finding, rule, root));
  }
  Json run{{"tool", {{"driver", {{"name", "vramtrack"}, {"version", VRAMTRACK_VERSION}, {"rules", std::move(rules)}}}}},
           {"columnKind", "utf16CodeUnits"},
           {"results", std::move(results)}};
  if (!root.empty()) run["originalUriBaseIds"] = Json{{"SRCROOT", {{"uri", uri(root) + "/"}}}};
  Json document{{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                {"version", "2.1.0"},
                {"runs", Json::array({std::move(run)})}};
  make_printable(document);
  out << document.dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
}

}  // namespace vramtrack::render
