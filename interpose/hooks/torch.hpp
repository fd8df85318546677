// What the CUDA hooks need to know about PyTorch's allocator (torch_hooks.cpp).
#pragma once

#include <cstdint>

#include "interpose/event.hpp"

namespace vramtrack::hooks::torch {

/// The caller is PyTorch's caching allocator, which retries a refused allocation and reports the final refusal itself.
bool reports_refusals(std::uintptr_t caller, Kind kind) noexcept;

}  // namespace vramtrack::hooks::torch
