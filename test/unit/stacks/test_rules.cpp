// Unwinding rules as words, and that real code is covered by them.
#include <catch2/catch.hpp>

#include "interpose/stacks/unwind_rule.hpp"

namespace vramtrack::stacks {

TEST_CASE("a rule keeps its parts") {
  const auto cfa_offset = GENERATE(8, -16, 4096, -16 * 1024 * 1024, 16 * 1024 * 1024 - 8);
  const auto bp_offset = GENERATE(-16, 0, 40, -1024 * 1024, 1024 * 1024 - 8);
  const auto return_offset = GENERATE(-8, 0, 40, -1024 * 1024, 1024 * 1024 - 8);
  REQUIRE(UnwindRule::cfa_fits(cfa_offset));
  REQUIRE(UnwindRule::place_fits(bp_offset));
  REQUIRE(UnwindRule::place_fits(return_offset));
  const UnwindRule rule =
      UnwindRule::make(UnwindRule::Cfa::at_bp, cfa_offset, UnwindRule::Bp::at_bp, bp_offset, return_offset);
  CHECK(rule.usable());
  CHECK_FALSE(rule.end());
  CHECK(rule.cfa() == UnwindRule::Cfa::at_bp);
  CHECK(rule.bp() == UnwindRule::Bp::at_bp);
  CHECK(rule.cfa_offset() == cfa_offset);
  CHECK(rule.bp_offset() == bp_offset);
  CHECK(rule.return_offset() == return_offset);
  CHECK(UnwindRule::end_of_stack().end());
  CHECK(UnwindRule::end_of_stack().usable());
  CHECK_FALSE(UnwindRule{}.usable());
}

TEST_CASE("an offset that a rule cannot keep is refused") {
  CHECK_FALSE(UnwindRule::cfa_fits(12));
  CHECK_FALSE(UnwindRule::cfa_fits(16 * 1024 * 1024));
  CHECK_FALSE(UnwindRule::place_fits(-4));
  CHECK_FALSE(UnwindRule::place_fits(-1024 * 1024 - 8));
}

TEST_CASE("code of this program has a rule") {
  const UnwindRule rule = derive_rule(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
  CHECK(rule.usable());
  CHECK(rule.cfa() != UnwindRule::Cfa::none);
}

}  // namespace vramtrack::stacks
