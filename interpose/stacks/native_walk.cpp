// walk_rules of native_memo.hpp: a full unwinding by our own rules that takes down what it reads.
#include "interpose/core/code_address.hpp"
#include "interpose/stacks/ip_table.hpp"
#include "interpose/stacks/native_memo.hpp"

namespace vramtrack::stacks {
namespace {

using Cfa = UnwindRule::Cfa;
using Bp = UnwindRule::Bp;

constexpr std::uintptr_t largest_frame = 64 << 20;  // beyond it a rule is taken to be wrong

// (As native_memo.cpp.)
__attribute__((no_sanitize("address"))) std::uint64_t word_at(std::uintptr_t address) noexcept {
  std::uint64_t value;
  __builtin_memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

/// The list of words that decide the result, from the steps: `step[i]` leads from frame i to frame i + 1. Saved frame
/// pointers count only where a frame further out uses them, so that is worked out from the outermost frame inwards.
void take_down(ReadSets& sets, std::uint32_t steps, std::uintptr_t sp) noexcept {
  bool bp_used = false;  // whether the register's value in frame i + 1 matters
  for (std::uint32_t i = steps; i-- > 0;) {
    UnwindStep& step = sets.step[i];
    if (!bp_used) step.bp_at = 0;
    const bool restored_by_bp = step.rule.bp() == Bp::at_bp || step.rule.bp() == Bp::same;
    bp_used = step.rule.cfa() != Cfa::sp || (bp_used && restored_by_bp);
  }
  sets.fresh_uses_bp = bp_used;
  sets.fresh_count = 0;
  sets.fresh_reach = 0;
  sets.fresh_fits = true;
  const auto take = [&sets, sp](std::uintptr_t at, std::uint64_t value) {
    if (at == 0) return;
    const std::uintptr_t offset = (at - sp) / 8;
    if ((at - sp) % 8 != 0 || at < sp || offset >= 1 << 16) {
      sets.fresh_fits = false;
      return;
    }
    if (offset > sets.fresh_reach) sets.fresh_reach = static_cast<std::uint32_t>(offset);
    const std::uint32_t n = sets.fresh_count++;
    sets.fresh[n / 8].value[n % 8] = value;
    sets.fresh[n / 8].offset[n % 8] = static_cast<std::uint16_t>(offset);
  };
  for (std::uint32_t i = 0; i < steps; ++i) {
    take(sets.step[i].cfa_at, sets.step[i].cfa);
    take(sets.step[i].bp_at, sets.step[i].bp);
    take(sets.step[i].return_at, sets.step[i].return_address);
  }
  for (std::uint32_t n = sets.fresh_count; n > 0 && n % 8 != 0; ++n) {
    sets.fresh[n / 8].value[n % 8] = sets.fresh[n / 8].value[n % 8 - 1];
    sets.fresh[n / 8].offset[n % 8] = sets.fresh[n / 8].offset[n % 8 - 1];
  }
}

}  // namespace

std::uint32_t walk_rules(ThreadState& state, const CaptureStart& start, std::uint64_t* frames, std::uint32_t max,
                         bool& truncated) noexcept {
  ReadSets& sets = *state.read_sets;
  sets.fresh_fits = false;
  std::uintptr_t ip = start.ip, sp = start.sp, bp = start.bp;
  const bool own_stack = sp >= state.stack_low && sp < state.stack_high;
  std::uint32_t n = 0;
  for (;;) {
    frames[n++] = ip;
    const UnwindRule rule = ip_info(ip).rule;
    if (!rule.usable()) return 0;
    if (rule.end()) break;
    if (n == max) {
      truncated = true;
      break;
    }
    UnwindStep& step = sets.step[n - 1];
    step = {rule, 0, 0, 0, 0, 0, 0};
    std::uintptr_t cfa = 0;
    const auto offset = static_cast<std::uintptr_t>(rule.cfa_offset());
    if (rule.cfa() == Cfa::sp) {
      cfa = sp + offset;
    } else if (rule.cfa() == Cfa::bp) {
      cfa = bp + offset;
    } else {
      step.cfa_at = bp + offset;
      if (step.cfa_at < sp || step.cfa_at - sp > largest_frame || (own_stack && step.cfa_at + 8 > state.stack_high))
        return 0;
      step.cfa = cfa = word_at(step.cfa_at);
    }
    // A frame ends above where it starts, and on the same stack.
    if (cfa < sp + 8 || cfa - sp > largest_frame || (cfa & 7) != 0 || (own_stack && cfa > state.stack_high)) return 0;
    step.return_at = cfa + static_cast<std::uintptr_t>(rule.return_offset());
    if (step.return_at < sp || step.return_at >= cfa) return 0;
    step.return_address = word_at(step.return_at);
    if (rule.bp() != Bp::same) {
      step.bp_at = (rule.bp() == Bp::at_cfa ? cfa : bp) + static_cast<std::uintptr_t>(rule.bp_offset());
      if (step.bp_at < sp || step.bp_at >= cfa) return 0;
      step.bp = bp = word_at(step.bp_at);
    }
    ip = plain_address(step.return_address);
    sp = cfa;
    if (ip == 0) {
      ++n;
      break;
    }
  }
  const bool ended_by_zero = ip == 0;
  take_down(sets, n - 1, start.sp);
  return ended_by_zero ? n - 1 : n;
}

}  // namespace vramtrack::stacks
