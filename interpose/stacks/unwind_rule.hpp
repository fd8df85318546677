// How to step from one native frame to its caller, as one word derived from .eh_frame. Covers what compilers emit for
// nearly all code; anything else is `none`, and the whole stack is then left to libunwind.
//   CFA  = rsp + o | rbp + o | *(rbp + o)
//   rbp  = unchanged | *(CFA + o) | *(rbp + o)
//   the return address is at CFA - 8; or the frame is the outermost one (`end`)
#pragma once

#include <cstdint>

namespace vramtrack::stacks {

struct UnwindRule {
  enum class Cfa : std::uint32_t { none = 0, rsp = 1, rbp = 2, at_rbp = 3 };
  enum class Bp : std::uint32_t { same = 0, at_cfa = 1, at_rbp = 2 };

  // bits 0-1 Cfa, 2-3 Bp, 4 end, 8-31 offset of rbp (signed), 32-63 offset of the CFA (signed)
  std::uint64_t bits = 0;

  static UnwindRule make(Cfa cfa, std::int32_t cfa_offset, Bp bp, std::int32_t bp_offset) noexcept {
    return {static_cast<std::uint64_t>(cfa) | static_cast<std::uint64_t>(bp) << 2 |
            (static_cast<std::uint64_t>(bp_offset) & 0xffffff) << 8 | static_cast<std::uint64_t>(cfa_offset) << 32};
  }
  static UnwindRule end_of_stack() noexcept { return {std::uint64_t{1} << 4}; }

  Cfa cfa() const noexcept { return static_cast<Cfa>(bits & 3); }
  Bp bp() const noexcept { return static_cast<Bp>(bits >> 2 & 3); }
  bool end() const noexcept { return (bits >> 4 & 1) != 0; }
  bool usable() const noexcept { return bits != 0; }
  std::int64_t cfa_offset() const noexcept { return static_cast<std::int64_t>(bits) >> 32; }
  std::int64_t bp_offset() const noexcept { return static_cast<std::int64_t>(bits << 32) >> 40; }
};

/// The rule for a frame whose return address (or start of capture) is `ip`.
UnwindRule derive_rule(std::uintptr_t ip) noexcept;

}  // namespace vramtrack::stacks
