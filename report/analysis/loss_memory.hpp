// The memory of a loss over classes: of a large vocabulary, or of every pixel, it is often the most of a step.
#pragma once

#include <vector>

#include "report/model/model.hpp"

namespace vramtrack {

/// What a site holds at the moment that is asked about; it may be nothing.
struct HeldBySite {
  const SiteReport* site;
  Bytes bytes;
  std::uint64_t blocks;
};

/// The last layer's outputs, what a cross entropy or a log-softmax makes of them, and their gradient.
struct LossMemory {
  Bytes block = 0;                   // the largest that the loss made; 0: there was none
  Bytes bytes = 0;                   // of blocks as large, or half as large (under autocast)
  const SiteReport* most = nullptr;  // that has most of them; nullptr: none, or they are of several passes
};

LossMemory loss_memory(const Report& report, const std::vector<HeldBySite>& held);

inline constexpr const char* loss_in_parts_fix =
    "Compute the last layer and its loss for a part of the inputs at a time (an eighth of the tokens, say), each part "
    "under torch.utils.checkpoint.checkpoint, or with a fused linear cross entropy.";

}  // namespace vramtrack
