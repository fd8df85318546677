// A process that made a CUDA context and allocated nothing: mostly a worker that runs its parent's set-up code. The
// context alone takes some hundred MiB of the device until the process ends.
#include <algorithm>
#include <map>
#include <set>

#include "report/findings/registry.hpp"
#include "report/findings/run_findings.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr const char* fix =
    "If the process does not need the GPU, keep CUDA calls out of what it runs: worker_init_fn, dataset and collate "
    "function of a DataLoader (there `torch.utils.data.get_worker_info()` is None in the parent only), and code at the "
    "top of a module, which a spawned process runs again. CUDA_VISIBLE_DEVICES=\"\" in its environment hides the GPU "
    "from it.";

std::vector<const ContextReport*> lasting_contexts(const Report& report) {
  std::vector<const ContextReport*> found;
  for (const ContextReport& context : report.contexts)
    if (!context.ended_time) found.push_back(&context);
  return found;
}

bool allocated_nothing(const Report& report) {
  return std::all_of(report.totals.begin(), report.totals.end(),
                     [](const Total& total) { return total.device < 0 || total.allocated_count == 0; });
}

std::string devices_of(const std::vector<const ContextReport*>& contexts) {
  std::set<int> devices;
  for (const ContextReport* context : contexts) devices.insert(context->device);
  std::string text;
  for (const int device : devices) text += (text.empty() ? "cuda:" : ", cuda:") + std::to_string(device);
  return text;
}

Bytes bytes_of(const std::vector<const ContextReport*>& contexts) {
  Bytes bytes = 0;
  for (const ContextReport* context : contexts) bytes += context->bytes.value_or(0);
  return bytes;
}

/// "made at setup (guilty.py:19)", and points the finding there.
std::string made_at(Finding& finding, const Report& report, const ContextReport& context) {
  const Frame* const frame = point_at(finding, report, context);
  return frame == nullptr ? std::string() : " It was made at " + frame_label(*frame) + ".";
}

std::string about(Bytes bytes) { return bytes == 0 ? "some hundred MiB" : "about " + human_bytes(bytes); }

}  // namespace

Findings idle_context(const Report& report) {
  const std::vector<const ContextReport*> contexts = lasting_contexts(report);
  if (contexts.empty() || !allocated_nothing(report)) return {};
  const Bytes bytes = bytes_of(contexts);
  const std::string size = bytes == 0 ? "" : " of " + about(bytes);
  Finding finding =
      make("idle-context", "info", "A CUDA context" + size + " on " + devices_of(contexts) + ", and no allocation");
  finding.bytes = bytes;
  finding.message = "The process made a CUDA context on " + devices_of(contexts) +
                    " and allocated nothing there. The context takes " + about(bytes) + " until the process ends." +
                    made_at(finding, report, *contexts.front());
  finding.fix = fix;
  finding.evidence = {{"contexts", contexts.size()}, {"bytes", bytes}};
  return {finding};
}

Findings tell_idle_contexts(std::vector<Report>& reports, std::int64_t main_pid) {
  struct Group {
    const Report* first = nullptr;
    std::vector<std::int64_t> pids;
    Bytes bytes = 0;
  };
  std::map<std::pair<std::string, int>, Group> groups;  // by the line that made the context
  for (Report& report : reports) {
    std::erase_if(report.findings, [](const Finding& finding) { return finding.code == "idle-context"; });
    for (Finding& finding : idle_context(report)) {
      report.findings.push_back(finding);
      if (report.process.pid == main_pid) continue;
      Group& group = groups[{finding.file.value_or(""), finding.line.value_or(0)}];
      if (group.first == nullptr) group.first = &report;
      group.pids.push_back(report.process.pid);
      group.bytes += finding.bytes;
    }
  }
  Findings found;
  for (const auto& [line, group] : groups) {
    const std::size_t count = group.pids.size();
    const std::vector<const ContextReport*> contexts = lasting_contexts(*group.first);
    const std::string who = count == 1 ? "1 other process holds a CUDA context"
                                       : std::to_string(count) + " other processes hold a CUDA context each";
    Finding finding = make("idle-context", "info", who + " and no tensors");
    finding.bytes = group.bytes;
    std::string pids;
    for (const std::int64_t pid : group.pids) pids += (pids.empty() ? "" : ", ") + std::to_string(pid);
    finding.message = who + " on " + devices_of(contexts) + " and allocated nothing there: pid " + pids +
                      ". A context takes " + about(group.bytes / count) + " until its process ends" +
                      (count > 1 && group.bytes > 0 ? ", " + human_bytes(group.bytes) + " together." : ".") +
                      made_at(finding, *group.first, *contexts.front());
    finding.fix = fix;
    finding.evidence = {{"pids", group.pids}, {"bytes", group.bytes}, {"bytes_each", group.bytes / count}};
    found.push_back(std::move(finding));
  }
  return found;
}

}  // namespace vramtrack::findings
