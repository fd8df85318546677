// What the two halves of this folder share (torch_hooks.cpp, torch_pool.cpp).
#pragma once

#include <cstdint>

#include "interpose/core/event.hpp"

namespace vramtrack::hooks::torch {

/// The caller is PyTorch's caching allocator, which retries a refused allocation and reports the final refusal itself.
bool reports_refusals(std::uintptr_t caller, Kind kind) noexcept;

}  // namespace vramtrack::hooks::torch
