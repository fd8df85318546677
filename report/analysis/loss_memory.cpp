#include "report/analysis/loss_memory.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace vramtrack {
namespace {

constexpr std::array<std::string_view, 3> losses{"cross_entropy", "log_softmax", "nll_loss"};

bool is_of_loss(const Frame& frame) {
  return std::any_of(losses.begin(), losses.end(),
                     [&](std::string_view name) { return frame.function.find(name) != std::string::npos; });
}

}  // namespace

Bytes logits_bytes(const Report& report, const std::function<bool(const SiteReport& site)>& asked) {
  Bytes most = 0;
  for (const SiteReport& site : report.sites) {
    if (site.largest_bytes <= most || !asked(site)) continue;
    if (std::any_of(site.stack.begin(), site.stack.end(), [&](FrameId id) { return is_of_loss(report.frames[id]); }))
      most = site.largest_bytes;
  }
  return most;
}

bool is_as_large(const SiteReport& site, Bytes logits) noexcept {
  return logits != 0 && (site.largest_bytes == logits || site.largest_bytes == logits / 2);
}

}  // namespace vramtrack
