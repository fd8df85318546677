#include "interpose/python/worker_random.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <sstream>

#include "interpose/recorder/recorder.hpp"

// What the agent's library calls in the recorder, which these tests do not link.
namespace vramtrack {
void freeze() noexcept {}
}  // namespace vramtrack

using namespace vramtrack::agent::twister;

namespace {

/// NumPy's state after `draws` words from a seed, made with the standard library's generator of the same kind.
State after(unsigned seed, unsigned draws) {
  // The standard generator's text form is its 624 words and its position.
  std::mt19937 generator(seed);
  generator.discard(draws);
  std::stringstream text;
  text << generator;
  State state{};
  for (std::uint32_t& word : state.key) text >> word;
  int position = words;
  text >> position;
  state.pos = position;
  return state;
}

}  // namespace

TEST_CASE("an untouched state is untouched") {
  CHECK(compare(after(1, 100), after(1, 100), 10).change == Change::none);
}

TEST_CASE("draws are counted within a block and over refills") {
  for (const unsigned draws : {1u, 17u, 500u, 624u, 625u, 5000u}) {
    const Comparison result = compare(after(1, 50), after(1, 50 + draws), 20);
    CHECK(result.change == Change::drawn);
    CHECK(result.draws == draws);
  }
}

TEST_CASE("another seed is a reseeded state, and so is one beyond the bound") {
  CHECK(compare(after(1, 50), after(2, 50), 50).change == Change::reseeded);
  CHECK(compare(after(1, 0), after(1, 624 * 40), 10).change == Change::reseeded);
}
