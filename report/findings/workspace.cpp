// Scratch memory that cuBLAS or cuDNN keep: made once per handle and stream, often mistaken for a leak.
#include <algorithm>

#include "report/findings/registry.hpp"
#include "report/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr Bytes least_bytes = 1 << 20;

/// The native function that asked for a workspace, by name, or nullptr.
const Frame* workspace_frame(const Report& report, const SiteReport& site) {
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

}  // namespace

Findings workspace(const Report& report) {
  Bytes bytes = 0;
  std::uint64_t blocks = 0;
  const SiteReport* largest = nullptr;
  std::string function;
  for (const SiteReport& site : report.sites) {
    if (site.live_bytes < least_bytes || !is_main_layer(report, site)) continue;
    const Frame* frame = workspace_frame(report, site);
    if (frame == nullptr) continue;
    bytes += site.live_bytes;
    blocks += site.live_count;
    if (largest == nullptr || site.live_bytes > largest->live_bytes) {
      largest = &site;
      function = frame->function;
    }
  }
  if (largest == nullptr) return {};
  Finding finding = make("workspace", "info", "Library workspaces: " + human_bytes(bytes) + " that is not a leak");
  finding.site = largest->id;
  finding.bytes = bytes;
  if (const auto frame = own_frame(report, *largest)) {
    finding.file = report.frames[*frame].file;
    if (report.frames[*frame].line > 0) finding.line = report.frames[*frame].line;
  }
  finding.message =
      plural(blocks, "block") + " of " + human_bytes(bytes) + " are scratch memory of the math libraries (" + function +
      "). It is made once for each handle and stream and kept for reuse, so it is alive at exit and never grows.";
  finding.fix =
      "Nothing needs fixing. To make it smaller, set CUBLAS_WORKSPACE_CONFIG, for example `:4096:2`; to drop it, "
      "torch._C._cuda_clearCublasWorkspaces().";
  finding.evidence = {{"bytes", bytes}, {"blocks", blocks}, {"function", function}};
  return {finding};
}

}  // namespace vramtrack::findings
