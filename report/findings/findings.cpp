#include "report/findings/findings.hpp"

#include <algorithm>
#include <array>

#include "report/findings/registry.hpp"

namespace vramtrack::findings {
namespace {

constexpr std::array all = {
#define FINDING(function) function,
#include "report/findings/findings.def"
};

/// What keeps graphs and other tensors, too, is before once: by the finding that knows about the graphs.
void drop_repeated(Findings& found) {
  const Findings before = found;
  std::erase_if(found, [&](const Finding& finding) {
    return finding.code == "growing-site" && std::any_of(before.begin(), before.end(), [&](const Finding& graph) {
             return graph.code == "history-accumulation" && graph.file == finding.file && graph.line == finding.line &&
                    graph.variable == finding.variable;
           });
  });
}

int rank(const Finding& finding) { return finding.severity == "error" ? 0 : finding.severity == "warning" ? 1 : 2; }

}  // namespace

std::vector<Finding> find_all(const Report& report) {
  Findings found;
  for (const auto& find : all) {
    try {
      for (Finding& finding : find(report)) found.push_back(std::move(finding));
    } catch (const Json::exception& error) {  // a note that is not what docs/agent-notes.md says
      (void)error;                            // the report is complete without this finding
    }
  }
  drop_repeated(found);
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
