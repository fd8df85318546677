// 128-bit hash of a sequence of words, folded in one word at a time, so that a prefix's value can be kept.
#pragma once

#include <cstdint>

namespace vramtrack::stacks {

struct Hash128 {
  std::uint64_t a = 0x243f6a8885a308d3ull;
  std::uint64_t b = 0x13198a2e03707344ull;

  bool operator==(const Hash128&) const = default;

  Hash128 plus(std::uint64_t word) const noexcept {
    // Two unlike lanes: a folded 64x64 product, and a multiply-rotate chain.
    const unsigned __int128 product =
        static_cast<unsigned __int128>(a ^ word) * static_cast<unsigned __int128>(0x9e3779b97f4a7c15ull);
    const std::uint64_t lane = (b ^ word) * 0xd6e8feb86659fd93ull;
    return {static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ (a << 23 | a >> 41),
            (lane << 29 | lane >> 35) + word};
  }

  /// Spread over all bits, for use as a table index.
  std::uint64_t index() const noexcept {
    const std::uint64_t x = (a ^ (b << 32 | b >> 32)) * 0xff51afd7ed558ccdull;
    return x ^ x >> 32;
  }
};

}  // namespace vramtrack::stacks
