// How far the lines of a function moved between two versions of a program.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "report/model.hpp"

namespace vramtrack {

class LineShifts {
 public:
  /// Looks at every frame of both reports that has a line.
  LineShifts(const Report& a, const Report& b);

  /// What to add to a line of this frame's function in A to get to B: the shift that most of its lines, and the other
  /// functions of its file, agree on.
  int of(const Frame& frame_of_a) const;

  /// How far apart two frames of one function are, in lines, once the shift is taken off; no value when they are not
  /// the same place. Lines with equal text are the same place.
  std::optional<int> distance(const Frame& a, const Frame& b) const;

 private:
  using Lines = std::map<int, const std::string*>;  // line -> its text or null
  using Scores = std::map<int, int>;                // by shift
  struct Function {
    Lines a, b;
    int shift = 0;
  };
  static Scores score_shifts(const Function& function);
  static int best_shift(const Scores& own, const Scores& file, bool module_level);

  std::string script_a_, script_b_;
  std::unordered_map<std::string, Function> functions_;
};

}  // namespace vramtrack
