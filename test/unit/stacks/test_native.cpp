// Every capture is compared with a full walk by libunwind while programs do their worst to the stack.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "hostile.hpp"
#include "interpose/stacks/ip_table.hpp"
#include "interpose/stacks/native_memo.hpp"
#include "interpose/stacks/native_stack.hpp"
#include "traced.hpp"

namespace vramtrack {
namespace {

void shot() { capture_here(); }

void require_clean(const CheckedTrace& trace, std::uint64_t at_least) {
  const stacks::CheckCounts counts = trace.counts();
  CHECK(counts.stacks >= at_least);
  CHECK(counts.mismatches == 0);
  CHECK(counts.unverifiable == 0);
}

[[gnu::noinline]] int recurse(int depth, void (*at_bottom)()) {
  if (depth == 0) {
    at_bottom();
    return 0;
  }
  volatile int local = recurse(depth - 1, at_bottom);
  return local + 1;
}

StackId g_last = no_stack;
[[gnu::noinline]] StackId deep_capture() {
  recurse(10, [] { g_last = capture_here().stack; });
  return g_last;
}

[[gnu::noinline]] int recurse_wide(int depth, void (*at_bottom)()) {
  volatile char wide[4096];
  wide[0] = 1;
  if (depth == 0) {
    at_bottom();
    return 0;
  }
  return recurse_wide(depth - 1, at_bottom) + wide[0];
}

}  // namespace

TEST_CASE("stacks of exceptions, longjmp, alloca, realigned frames and fibers are exact") {
  const CheckedTrace trace;
  const std::uint64_t seed = GENERATE(1, 2, 3);
  hostile_bp(seed, 15000, shot);
  hostile_sp(seed + 100, 15000, shot);
  require_clean(trace, 30000);
}

TEST_CASE("stacks of threads that come and go are exact") {
  const CheckedTrace trace;
  for (std::uint64_t round = 0; round < 10; ++round) {
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < 4; ++i) {
      threads.emplace_back([=] { (i % 2 != 0 ? hostile_bp : hostile_sp)(round * 4 + i, 500, shot); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  require_clean(trace, 20000);
}

TEST_CASE("a capture inside a signal handler sees the interrupted frames") {
  const CheckedTrace trace;
  struct sigaction action {};
  action.sa_handler = [](int) { shot(); };
  struct sigaction old;
  REQUIRE(sigaction(SIGUSR1, &action, &old) == 0);
  for (int depth = 0; depth < 40; ++depth) recurse(depth, [] { raise(SIGUSR1); });
  sigaction(SIGUSR1, &old, nullptr);
  require_clean(trace, 40);
}

TEST_CASE("a deep stack is cut at the outer end and marked") {
  CheckedTrace trace;
  recurse(5000, shot);
  recurse(5000, shot);
  const trace::TraceFile file = trace.read();
  REQUIRE(file.stacks.size() >= 1);
  CHECK((file.stacks[0].flags & trace::stack_truncated) != 0);
  CHECK(file.stacks[0].native_frames == stacks::max_native);
  CHECK(trace.writer->header().losses.truncated_stacks >= 1);
}

TEST_CASE("stacks of more than the memo's reach are exact") {
  const CheckedTrace trace;
  for (int i = 0; i < 3; ++i) recurse_wide(300, shot);  // 1.2 MB
  require_clean(trace, 3);
}

TEST_CASE("a stack seen before is recognised without unwinding, and the same id is given") {
  const CheckedTrace trace;
  StackId (*volatile capture_deep)() = deep_capture;
  volatile int times = 100;  // one call site: nothing to unroll
  std::vector<StackId> ids;
  for (int i = 0; i < times; ++i) ids.push_back(capture_deep());
  CHECK(std::count(ids.begin(), ids.end(), ids[0]) == 100);
  CHECK(stacks::this_thread()->read_sets->records == 1);
  require_clean(trace, 100);
}

TEST_CASE("the memo is bounded: it starts anew when it is full") {
  const CheckedTrace trace;
  stacks::g_options.check = false;  // only that it stays within its bounds; exactness is checked above
  const stacks::ReadSets& sets = *stacks::this_thread()->read_sets;
  const std::uint32_t flushes = sets.flushes;
  std::uint64_t seed = 1;
  while (sets.flushes < flushes + 2 && seed < 200) hostile_sp(seed++, 2000, shot);
  CHECK(sets.flushes >= flushes + 2);
  CHECK(sets.records <= stacks::max_records);
  CHECK(sets.groups <= stacks::max_groups);
}

namespace {

[[gnu::noinline]] void inner() {
  capture_here();
  asm volatile("");
}
[[gnu::noinline]] void outer() {
  inner();
  asm volatile("");
}
[[gnu::noinline]] void outer_twice() {
  outer();
  asm volatile("" ::: "memory");
  outer();
  asm volatile("" ::: "memory");
}

}  // namespace

TEST_CASE("a broken rule is caught by the check") {
  const CheckedTrace trace;
  outer();
  REQUIRE(trace.counts().mismatches == 0);
  const trace::TraceFile file = trace.read();
  REQUIRE(file.stacks.size() == 1);
  const trace::Stack& stack = file.stacks[0];
  REQUIRE(stack.native_frames > 3);
  // The rule of outer's frame now says that nobody called it.
  const std::uintptr_t in_outer = file.words[stack.first_word + stack.python_frames + 1];
  const stacks::UnwindRule right = stacks::ip_info(in_outer).rule;
  stacks::replace_rule(in_outer, stacks::UnwindRule::end_of_stack());
  outer();
  CHECK(trace.counts().mismatches == 1);
  stacks::replace_rule(in_outer, right);
  stacks::reset();
}

TEST_CASE("a memo that compares too little is caught by the check") {
  const CheckedTrace trace;
  outer_twice();
  REQUIRE(trace.counts().stacks == 2);
  REQUIRE(trace.counts().mismatches == 0);
  stacks::ReadSets& sets = *stacks::this_thread()->read_sets;
  REQUIRE(sets.records == 2);
  for (std::uint32_t i = 0; i < sets.records; ++i) sets.record[i].count = 0;
  for (int i = 0; i < 2; ++i) outer_twice();
  CHECK(trace.counts().mismatches > 0);
  stacks::reset();
}

}  // namespace vramtrack
