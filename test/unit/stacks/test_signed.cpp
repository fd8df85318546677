// Stacks of code that signs its return addresses, as distributions build it for aarch64.
#include <sys/auxv.h>

#include <algorithm>

#include <catch2/catch.hpp>

#include "interpose/stacks/native_memo.hpp"
#include "signed.hpp"
#include "traced.hpp"

namespace vramtrack {

TEST_CASE("signed return addresses are followed, recorded without their signature, and recognised") {
  CheckedTrace trace;
  stacks::g_options.check = false;  // libunwind before 1.8 ends at the first of them
  constexpr int depth = 20;
  bool is_signed = false;
  volatile int times = 3;  // one call site: nothing to unroll
  for (int i = 0; i < times; ++i)
    signed_recursion(
        depth, [] { capture_here(); }, is_signed);
  constexpr unsigned long can_sign = 1ul << 30;  // HWCAP_PACA
  CHECK(is_signed == ((::getauxval(AT_HWCAP) & can_sign) != 0));
  CHECK(stacks::this_thread()->read_sets->records == 1);
  const trace::TraceFile file = trace.read();
  REQUIRE(file.stacks.size() == 1);
  const trace::Stack& stack = file.stacks[0];
  REQUIRE(stack.native_frames > depth + 2);  // and those of main and before it
  const std::uint64_t* const frames = file.words.data() + stack.first_word + stack.python_frames;
  CHECK(std::count(frames, frames + stack.native_frames, frames[depth / 2]) == depth);  // the recursion's own call
  for (std::uint32_t i = 0; i < stack.native_frames; ++i) CHECK(frames[i] >> 48 == 0);
}

}  // namespace vramtrack
