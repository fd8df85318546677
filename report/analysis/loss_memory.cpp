#include "report/analysis/loss_memory.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace vramtrack {
namespace {

constexpr std::array<std::string_view, 3> losses{"cross_entropy", "log_softmax", "nll_loss"};
constexpr std::uint64_t most_of_one_pass = 8;  // blocks of that size; more are of several

bool is_of_loss(const Frame& frame) {
  return std::any_of(losses.begin(), losses.end(),
                     [&](std::string_view name) { return frame.function.find(name) != std::string::npos; });
}

}  // namespace

LossMemory loss_memory(const Report& report, const std::vector<HeldBySite>& held) {
  LossMemory found;
  for (const HeldBySite& one : held) {
    const std::vector<FrameId>& stack = one.site->stack;
    if (one.site->largest_bytes <= found.block) continue;
    if (std::any_of(stack.begin(), stack.end(), [&](FrameId id) { return is_of_loss(report.frames[id]); }))
      found.block = one.site->largest_bytes;
  }
  if (found.block == 0) return found;
  Bytes most = 0;
  std::uint64_t blocks = 0;
  for (const HeldBySite& one : held) {
    if (one.site->largest_bytes != found.block && one.site->largest_bytes != found.block / 2) continue;
    if (found.most == nullptr || one.bytes > most) {
      found.most = one.site;
      most = one.bytes;
    }
    found.bytes += one.bytes;
    blocks += one.blocks;
  }
  if (blocks > most_of_one_pass) {
    found.bytes = 0;
    found.most = nullptr;
  }
  return found;
}

}  // namespace vramtrack
