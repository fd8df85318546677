// Unwinding rules as words, and that real code is covered by them.
#include <catch2/catch.hpp>

#include "interpose/stacks/unwind_rule.hpp"

namespace vramtrack::stacks {

TEST_CASE("a rule keeps its parts") {
  const auto cfa_offset = GENERATE(8, -16, 4096, -2147483647, 2147483647);
  const auto bp_offset = GENERATE(-16, 0, 40, -8388608, 8388607);
  const UnwindRule rule = UnwindRule::make(UnwindRule::Cfa::at_rbp, cfa_offset, UnwindRule::Bp::at_rbp, bp_offset);
  CHECK(rule.usable());
  CHECK_FALSE(rule.end());
  CHECK(rule.cfa() == UnwindRule::Cfa::at_rbp);
  CHECK(rule.bp() == UnwindRule::Bp::at_rbp);
  CHECK(rule.cfa_offset() == cfa_offset);
  CHECK(rule.bp_offset() == bp_offset);
  CHECK(UnwindRule::end_of_stack().end());
  CHECK(UnwindRule::end_of_stack().usable());
  CHECK_FALSE(UnwindRule{}.usable());
}

TEST_CASE("code of this program has a rule") {
  const UnwindRule rule = derive_rule(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
  CHECK(rule.usable());
  CHECK(rule.cfa() != UnwindRule::Cfa::none);
}

}  // namespace vramtrack::stacks
