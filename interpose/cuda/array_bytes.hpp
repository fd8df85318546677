// How many bytes a CUDA array holds, from its description: the requirement query of the API answers only for arrays
// with deferred mapping, and sets the runtime's last error for all others. The driver's padding is not included.
#pragma once

#include <cstdint>

#include "interpose/cuda/cuda_headers.hpp"

namespace vramtrack::hooks {

/// Layers, cube faces and mip levels included. 0 for sparse and deferred-mapping arrays: they own no memory.
std::uint64_t array_bytes(std::uint64_t bits_per_element, std::uint64_t width, std::uint64_t height,
                          std::uint64_t depth, unsigned flags, unsigned levels) noexcept;

std::uint64_t array_bytes(const cudaChannelFormatDesc* format, std::uint64_t width, std::uint64_t height,
                          std::uint64_t depth, unsigned flags, unsigned levels) noexcept;
std::uint64_t array_bytes(CUarray_format format, unsigned channels, std::uint64_t width, std::uint64_t height,
                          std::uint64_t depth, unsigned flags, unsigned levels) noexcept;

}  // namespace vramtrack::hooks
