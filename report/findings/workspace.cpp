// Memory that the math libraries keep, often mistaken for a leak: scratch memory that PyTorch makes for them once per
// handle and stream, and what a library takes from CUDA itself for its handle (cuBLAS: 64 MiB each on an H100).
#include <algorithm>
#include <map>

#include "report/findings/registry.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"
#include "report/symbolize/owner.hpp"

namespace vramtrack::findings {
namespace {

struct Part {
  Bytes bytes = 0;
  std::uint64_t blocks = 0;
  const SiteReport* largest = nullptr;

  void add(const SiteReport& site) {
    bytes += site.live_bytes;
    blocks += site.live_count;
    if (largest == nullptr || site.live_bytes > largest->live_bytes) largest = &site;
  }
};

/// Memory that a math library took from CUDA itself.
bool is_of_library(const SiteReport& site) { return site.layer == "cuda" && is_math_library(site.owner); }

/// The native function that asked PyTorch for a workspace, by name, or nullptr.
const Frame* workspace_frame(const Report& report, const SiteReport& site) {
  if (is_of_library(site) || site.live_bytes < worth_telling) return nullptr;
  for (const FrameId id : site.stack) {
    const Frame& frame = report.frames[id];
    if (frame.kind != "native") continue;
    const std::string& name = frame.function;
    if (name.find("Workspace") == std::string::npos && name.find("workspace") == std::string::npos) continue;
    if (name.find("getWorkspaceSize") != std::string::npos) continue;
    return &frame;
  }
  return nullptr;
}

/// "64.1 MiB (3 blocks)"
std::string amount(const Part& part) { return human_bytes(part.bytes) + " (" + plural(part.blocks, "block") + ")"; }

bool is_kept(const Report& report, const SiteReport& site) {
  return site.live_bytes != 0 && site.verdict != "growing" && is_main_layer(report, site);
}

}  // namespace

std::uint64_t streams_with_workspaces(const Report& report) {
  std::map<std::string, std::uint64_t> made;  // by the function that makes them, one for each handle and stream
  for (const SiteReport& site : report.sites) {
    if (!is_kept(report, site)) continue;
    if (const Frame* const frame = workspace_frame(report, site)) made[frame->function] += site.live_count;
  }
  std::uint64_t streams = 0;
  for (const auto& [function, count] : made) streams = std::max(streams, count);
  return streams;
}

Findings workspace(const Report& report) {
  Part framework;
  std::map<std::string, Part> libraries;  // by name
  for (const SiteReport& site : report.sites) {
    if (!is_kept(report, site)) continue;
    if (is_of_library(site))
      libraries[site.owner].add(site);
    else if (workspace_frame(report, site) != nullptr)
      framework.add(site);
  }
  Part all = framework;
  Json by_library = Json::object();
  std::string parts;
  if (framework.largest != nullptr)
    parts = amount(framework) + " that PyTorch made as their workspaces (" +
            workspace_frame(report, *framework.largest)->function + "), which torch.cuda.memory_allocated() counts";
  for (const auto& [name, part] : libraries) {
    all.bytes += part.bytes;
    all.blocks += part.blocks;
    if (all.largest == nullptr || part.largest->live_bytes > all.largest->live_bytes) all.largest = part.largest;
    by_library[name] = part.bytes;
    parts += (parts.empty() ? "" : ", and ") + amount(part) + " that " + name +
             " itself took from CUDA for its handles, which PyTorch does not count";
  }
  if (all.bytes < worth_telling) return {};

  const std::uint64_t streams = streams_with_workspaces(report);
  const bool many = streams >= many_streams;
  Finding finding =
      make("workspace", "info",
           "The math libraries keep " + human_bytes(all.bytes) +
               (many ? ", a workspace for each of " + std::to_string(streams) + " streams" : ", which is not a leak"));
  finding.site = all.largest->id;
  finding.bytes = all.bytes;
  point_at(finding, report, *all.largest);
  finding.message =
      "The math libraries hold " + parts +
      ". Such memory is made once for each handle and stream and kept for reuse: it is alive at exit, and it "
      "does not grow.";
  finding.fix =
      many ? "Compute on fewer streams: each one on which a matrix product has run keeps a workspace of its own. "
             "Make a stream once and use it again, also for warming up and capturing CUDA graphs."
           : "Nothing needs fixing.";
  if (framework.largest != nullptr)
    finding.fix +=
        " To make the workspaces smaller, set CUBLAS_WORKSPACE_CONFIG, for example `:4096:2`; to drop them, "
        "torch._C._cuda_clearCublasWorkspaces().";
  if (!libraries.empty())
    finding.fix +=
        " A handle's memory lives as long as the handle: PyTorch makes one for each thread that computes, and the "
        "backward pass has a thread of its own.";
  finding.evidence = {{"bytes", all.bytes},
                      {"blocks", all.blocks},
                      {"framework_bytes", framework.bytes},
                      {"streams", streams},
                      {"library_bytes", std::move(by_library)}};
  return {finding};
}

}  // namespace vramtrack::findings
