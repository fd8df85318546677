// What CUDA's hooks ask of the framework whose allocator stands above CUDA. It is defined by that framework's folder
// (interpose/torch/), which depends on this one.
#pragma once

#include <cstdint>

#include "interpose/cuda/call.hpp"
#include "interpose/ledger/ledger.hpp"

namespace vramtrack::trace {
class FactWriter;
}

namespace vramtrack::hooks {

struct FrameworkPool {
  /// The caller is a caching allocator that retries a refused allocation and reports the final refusal itself.
  bool (*reports_refusals)(std::uintptr_t caller, Kind kind) noexcept;

  // The cudaMallocAsync back end keeps no blocks of its own and reports none: its calls are its blocks.

  /// A stream-ordered allocation by the framework: a pool block in the cuda layer and a block in the tensor layer.
  int (*alloc)(const Call& call, Facts facts) noexcept;
  /// The tensor layer's part of the free of a pool block that was just taken out of the cuda layer.
  ledger::Removed (*free)(const ledger::Removed& freed, std::uintptr_t caller) noexcept;
  void (*take_back)(const ledger::Removed& removed) noexcept;
  /// Adds `torch_pool: {reserved_bytes, used_bytes}` of a device on which the back end has allocated, else nothing.
  void (*describe)(int device, trace::FactWriter& fact) noexcept;
};

extern const FrameworkPool framework_pool;

}  // namespace vramtrack::hooks
