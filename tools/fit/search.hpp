// Finds the largest value that fits each device, in few runs: a pure function of what runs say, so that it can be
// tested without any. Takes for granted that a program that fits with a value fits with every smaller one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "tools/fit/gpus.hpp"
#include "tools/fit/trial.hpp"

namespace vramtrack::tools::fit {

/// Values are told by their index, 0 to count - 1, in ascending order.
using Index = std::ptrdiff_t;

/// What a search needs to know of the world. `gpu` is an index into the list of devices; none: a device so large that
/// nothing runs out, for the figures.
using RunOne = std::function<Trial(Index value, std::optional<std::size_t> gpu)>;

struct Answer {
  Index largest = -1;               // of those that fit; -1: none does
  std::optional<Trial> at_largest;  // on the device itself
  std::size_t runs = 0;             // those that this answer rests on
};

class Search {
 public:
  Search(std::vector<Gpu> gpus, Index count, RunOne run);

  std::vector<Answer> find();

  /// Runs on the large device, by index; in them nothing ran out.
  const std::map<Index, Trial>& measured() const { return measured_; }

 private:
  struct Line {
    double constant = 0, slope = 0;  // bytes for each index
  };

  bool measure(Index value);
  void measure_first();
  Line line(Bytes Trial::*figure, Bytes room) const;
  Index predict(Bytes Trial::*figure, Bytes room) const;
  Index next(Index fits, Index fails, Bytes room, Index& stride) const;
  bool is_far_from_measured(Index value) const;
  Answer find(std::size_t gpu);

  std::vector<Gpu> gpus_;
  Index count_;
  RunOne run_;
  std::map<Index, Trial> measured_;
  std::size_t measuring_runs_ = 0;
  Index too_large_;  // the smallest value known to run out on the large device
};

}  // namespace vramtrack::tools::fit
