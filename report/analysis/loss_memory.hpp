// The memory of a loss over classes: of a large vocabulary, or of every pixel, it is often the most of a step.
#pragma once

#include <functional>

#include "report/model/model.hpp"

namespace vramtrack {

/// The largest block that a cross entropy or a log-softmax made at the sites that are `asked` for, in bytes; 0: none did.
Bytes logits_bytes(const Report& report, const std::function<bool(const SiteReport& site)>& asked);

/// So many blocks of that size one pass has at a time; more are of several.
inline constexpr std::uint64_t most_of_one_loss = 8;

/// Whether a site makes blocks of as many elements, in the same type or in one of half the size (under autocast).
bool is_as_large(const SiteReport& site, Bytes logits) noexcept;

inline constexpr const char* loss_in_parts_fix =
    "Compute the last layer and its loss for a part of the inputs at a time (an eighth of the tokens, say), each part "
    "under torch.utils.checkpoint.checkpoint, or with a fused linear cross entropy.";

}  // namespace vramtrack
