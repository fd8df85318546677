// Who asked CUDA for memory, by the libraries in the native stack.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace vramtrack {

/// The owner that a module stands for: "torch", "nccl", ...; "" for the CUDA runtime and driver and for helpers, which
/// say nothing (libc, libstdc++, the interpreter, the tracer); "program" for anything else.
std::string_view owner_of_module(std::string_view module) noexcept;

/// Owner of a stack, given its native frames' modules, innermost first; "program" when none tells, "unknown" when there
/// are none.
std::string_view owner_of_stack(std::span<const std::string_view> modules) noexcept;

/// Libraries that compute, whose memory belongs to their handles and plans: cuBLAS, cuDNN and the like.
bool is_math_library(std::string_view owner) noexcept;

}  // namespace vramtrack
