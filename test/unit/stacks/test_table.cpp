// Interning: ids are dense, equal stacks share one, and threads agree.
#include <thread>
#include <vector>

#include "interpose/stacks/hash.hpp"
#include "interpose/stacks/stack_table.hpp"
#include "traced.hpp"

namespace vramtrack {

TEST_CASE("many stacks from many threads get one id each") {
  const CheckedTrace trace;
  stacks::g_options.check = false;
  constexpr std::uint32_t distinct = 30000;
  const auto hash_of = [](std::uint64_t i) { return stacks::Hash128{}.plus(i).plus(i * i); };
  std::vector<std::vector<StackId>> ids(4, std::vector<StackId>(distinct));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    threads.emplace_back([&ids, hash_of, t] {
      for (std::uint32_t k = 0; k < distinct; ++k) {
        const std::uint32_t i = t % 2 != 0 ? k : distinct - 1 - k;
        const std::uint64_t word = trace::python_frame_bit | i;
        const stacks::Hash128 hash = hash_of(i);
        StackId id = stacks::find_stack(hash);
        if (id == no_stack) id = stacks::add_stack(hash, &word, 1, nullptr, 0, {});
        ids[t][i] = id;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t t = 1; t < ids.size(); ++t) CHECK(ids[t] == ids[0]);
  const trace::TraceFile file = trace.read();
  REQUIRE(file.stacks.size() == distinct);
  for (std::uint32_t i = 0; i < distinct; ++i) {
    const trace::Stack& stack = file.stacks[number_of(ids[0][i])];
    REQUIRE(stack.known);
    REQUIRE(file.words[stack.first_word] == (trace::python_frame_bit | i));
  }
}

TEST_CASE("the hash tells order and words apart") {
  const stacks::Hash128 none;
  CHECK_FALSE(none.plus(1).plus(2) == none.plus(2).plus(1));
  CHECK_FALSE(none.plus(0) == none);
  CHECK_FALSE(none.plus(0).plus(0) == none.plus(0));
  for (unsigned bit = 0; bit < 64; ++bit) {
    const stacks::Hash128 flipped = none.plus(5 ^ (1ull << bit)).plus(7), plain = none.plus(5).plus(7);
    CHECK(flipped.a != plain.a);
    CHECK(flipped.b != plain.b);
  }
}

}  // namespace vramtrack
