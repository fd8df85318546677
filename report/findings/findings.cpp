#include "report/findings/findings.hpp"

#include <algorithm>
#include <array>

#include "report/findings/registry.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::array finders = {
#define FINDING(function) function,
#include "report/findings/findings.def"
};

/// `watch.history['bias']` of `watch`.
bool is_part_of(const Finding& finding, const Finding& whole) {
  if (!finding.variable || !whole.variable || whole.variable->empty()) return false;
  const std::string &part = *finding.variable, &name = *whole.variable;
  return part.size() > name.size() && part.starts_with(name) && (part[name.size()] == '.' || part[name.size()] == '[');
}

/// `preds` of `module.auroc.preds`, as of `self.preds`.
std::string last_name(const Finding& finding) {
  const std::string name = finding.variable.value_or("");
  return name.substr(name.rfind('.') + 1);
}

/// Whether two findings of one statement name the same variable in two ways, and `other` is the one that saw more.
bool is_other_name(const Finding& finding, const Finding& other) {
  return finding.variable != other.variable && last_name(finding) == last_name(other) &&
         std::pair(other.bytes, other.variable) > std::pair(finding.bytes, finding.variable);
}

/// Frames of kept exceptions hold graphs among other things: it is the exceptions that pile up.
bool is_of_exceptions(const Finding& finding) {
  return text_in(finding.evidence, "holder").find(".__traceback__") != std::string::npos;
}

/// Whether `other` says all that `finding` says, and more: what keeps graphs and other tensors, too, is told by the
/// finding that knows about the graphs, what one statement adds to parts of an object by that of the object. Without
/// steps, passes whose graphs something collects are not one long sequence.
bool is_repeated_in(const Report& report, const Finding& finding, const Finding& other) {
  const bool same_line = finding.file == other.file && finding.line == other.line && finding.line;
  if (finding.code == "growing-site")
    return (other.code == "history-accumulation" && finding.variable &&
            (finding.variable == other.variable ||
             (same_line && last_name(finding) == last_name(other) && !is_of_exceptions(other)))) ||
           (other.code == "growing-site" && same_line && (is_part_of(finding, other) || is_other_name(finding, other)));
  if (finding.code == "history-accumulation")  // of losses that wait for their backward pass
    return other.code == "out-of-memory" && other.evidence.contains("passes") && last_name(finding) == last_name(other);
  return finding.code == "long-bptt" && other.code == "history-accumulation" && report.steps.count == 0;
}

/// Whether other findings tell of all the parts of an object one by one: `model.metric.preds` of `model.metric`.
bool is_told_by_parts(const Report& report, const Finding& finding, const std::vector<Finding>& all) {
  if (finding.code != "growing-site") return false;
  Bytes parts = 0;
  for (const Finding& other : all)
    if (other.code == finding.code && is_part_of(other, finding) && !is_repeated_in(report, other, finding))
      parts += other.bytes;
  return 10 * parts >= 9 * finding.bytes && finding.bytes != 0;
}

int rank(const Finding& finding) { return finding.severity == "error" ? 0 : finding.severity == "warning" ? 1 : 2; }

}  // namespace

void drop_repeated(const Report& report, std::vector<Finding>& found) {
  const Findings before = found;
  std::erase_if(found, [&](const Finding& finding) {
    return is_told_by_parts(report, finding, before) ||
           std::ranges::any_of(before, [&](const Finding& other) { return is_repeated_in(report, finding, other); });
  });
}

std::vector<Finding> find_all(const Report& report) {
  Findings found;
  for (const auto& find : finders) {
    try {
      for (Finding& finding : find(report)) found.push_back(std::move(finding));
    } catch (const Json::exception& error) {  // a fact that is not what contract/facts.def says
      (void)error;                            // the report is complete without this finding
    }
  }
  drop_repeated(report, found);
  worst_first(found);
  return found;
}

void worst_first(std::vector<Finding>& found) {
  std::stable_sort(found.begin(), found.end(), [](const Finding& a, const Finding& b) {
    if (rank(a) != rank(b)) return rank(a) < rank(b);
    return a.bytes > b.bytes;
  });
}

}  // namespace vramtrack::findings
