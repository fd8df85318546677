// How to step from one native frame to its caller, as one word derived from .eh_frame. Covers what compilers emit for
// nearly all code; anything else is `none`, and the whole stack is then left to libunwind.
//   CFA             = sp + o | bp + o | *(bp + o)
//   bp              = unchanged | *(CFA + o) | *(bp + o)
//   return address  = *(CFA + o); or the frame is the outermost one (`end`)
// bp is the frame pointer register: rbp on x86-64, x29 on aarch64. On x86-64 the return address is always at CFA - 8.
#pragma once

#include <cstdint>

namespace vramtrack::stacks {

struct UnwindRule {
  enum class Cfa : std::uint32_t { none = 0, sp = 1, bp = 2, at_bp = 3 };
  enum class Bp : std::uint32_t { same = 0, at_cfa = 1, at_bp = 2 };

  // bits 0-1 Cfa, 2-3 Bp, 4 end; then the offsets, signed and in words of 8 bytes:
  // bits 6-23 of the return address, 24-41 of bp, 42-63 of the CFA
  std::uint64_t bits = 0;

  /// Whether an offset of the CFA, and one of the other two, can be kept.
  static bool cfa_fits(std::int64_t offset) noexcept { return offset % 8 == 0 && fits(offset / 8, 22); }
  static bool place_fits(std::int64_t offset) noexcept { return offset % 8 == 0 && fits(offset / 8, 18); }

  static UnwindRule make(Cfa cfa, std::int64_t cfa_offset, Bp bp, std::int64_t bp_offset,
                         std::int64_t return_offset) noexcept {
    const auto words = [](std::int64_t offset, unsigned bits) {
      return static_cast<std::uint64_t>(offset / 8) & ((std::uint64_t{1} << bits) - 1);
    };
    return {static_cast<std::uint64_t>(cfa) | static_cast<std::uint64_t>(bp) << 2 | words(return_offset, 18) << 6 |
            words(bp_offset, 18) << 24 | words(cfa_offset, 22) << 42};
  }
  static UnwindRule end_of_stack() noexcept { return {std::uint64_t{1} << 4}; }

  Cfa cfa() const noexcept { return static_cast<Cfa>(bits & 3); }
  Bp bp() const noexcept { return static_cast<Bp>(bits >> 2 & 3); }
  bool end() const noexcept { return (bits >> 4 & 1) != 0; }
  bool usable() const noexcept { return bits != 0; }
  std::int64_t cfa_offset() const noexcept { return static_cast<std::int64_t>(bits) >> 42 << 3; }
  std::int64_t bp_offset() const noexcept { return static_cast<std::int64_t>(bits << 22) >> 46 << 3; }
  std::int64_t return_offset() const noexcept { return static_cast<std::int64_t>(bits << 40) >> 46 << 3; }

 private:
  static bool fits(std::int64_t value, unsigned bits) noexcept {
    const std::int64_t most = std::int64_t{1} << (bits - 1);
    return value >= -most && value < most;
  }
};

/// The rule for a frame whose return address (or start of capture) is `ip`.
UnwindRule derive_rule(std::uintptr_t ip) noexcept;

}  // namespace vramtrack::stacks
