// What the CUDA hooks need to know about PyTorch's allocators (torch_hooks.cpp, torch_pool.cpp).
#pragma once

#include <cstdint>

#include "interpose/cuda/call.hpp"
#include "interpose/ledger/ledger.hpp"

namespace vramtrack {
class Line;
}

namespace vramtrack::hooks::torch {

/// The caller is PyTorch's caching allocator, which retries a refused allocation and reports the final refusal itself.
bool reports_refusals(std::uintptr_t caller, Kind kind) noexcept;

// The cudaMallocAsync back end (torch_pool.cpp) keeps no blocks of its own and reports none: its calls are its blocks.

/// A stream-ordered allocation by libc10_cuda.so: a pool block in the cuda layer and a block in the tensor layer.
int pool_alloc(const Call& call, Facts facts) noexcept;
/// The tensor layer's part of the free of a pool block that was just taken out of the cuda layer.
ledger::Removed pool_free(const ledger::Removed& freed, std::uintptr_t caller) noexcept;
void pool_take_back(const ledger::Removed& removed) noexcept;
/// `, "torch_pool": {"reserved_bytes": R, "used_bytes": U}` of a device on which the back end has allocated, else
/// nothing.
void describe_pool(int device, Line& json) noexcept;

}  // namespace vramtrack::hooks::torch
