// How the parts of a peak grow with the value: only from runs whose peaks are made alike.
#include <catch2/catch.hpp>

#include "tools/fit/outcome.hpp"

namespace {

using namespace vramtrack::tools::fit;
using vramtrack::Bytes;

Trial trial(std::map<std::string, Bytes> roles) {
  Trial made;
  for (const auto& [role, bytes] : roles) {
    made.roles[role] = {bytes, 1};
    made.peak_live_bytes += bytes;
  }
  return made;
}

}  // namespace

TEST_CASE("a role grows as it did between two peaks of the same place") {
  Outcome outcome;
  outcome.measured.emplace(10, trial({{"parameter", 1000}, {"activation", 5000}}));
  const Trial at = trial({{"parameter", 1000}, {"activation", 15000}});
  const auto law = law_of(outcome, 30, at, "activation");
  REQUIRE(law);
  CHECK(law->constant == 0);
  CHECK(law->slope == 500);
  CHECK(law_of(outcome, 30, at, "")->constant == 1000);
  CHECK(law_of(outcome, 30, at, "parameter")->slope == 0);
}

TEST_CASE("a peak elsewhere in the step, and a value right beside, say nothing of growth") {
  Outcome outcome;
  outcome.measured.emplace(1,
                           trial({{"parameter", 1000}, {"gradient", 1000}, {"temporary", 2000}}));  // the optimizer's
  outcome.measured.emplace(39, trial({{"parameter", 1000}, {"activation", 19500}}));
  const Trial at = trial({{"parameter", 1000}, {"activation", 20000}});
  CHECK(comparable(outcome, 40, at) == nullptr);
  CHECK(!law_of(outcome, 40, at, "activation"));
  outcome.measured.emplace(60, trial({{"parameter", 1000}, {"activation", 30000}}));
  REQUIRE(comparable(outcome, 40, at) != nullptr);
  CHECK(comparable(outcome, 40, at)->first == 60);
  CHECK(law_of(outcome, 40, at, "activation")->slope == 500);
}

TEST_CASE("the optimizer's state does not grow with a value because a peak of the first step has none") {
  Outcome outcome;
  outcome.measured.emplace(24, trial({{"parameter", 1000}, {"activation", 12000}}));
  const Trial at = trial({{"parameter", 1000}, {"optimizer_state", 100}, {"activation", 17500}});
  const auto law = law_of(outcome, 35, at, "optimizer_state");
  REQUIRE(law);
  CHECK(law->slope == 0);
  CHECK(law->constant == 100);
  CHECK(law_of(outcome, 35, at, "activation")->slope == 500);
}
