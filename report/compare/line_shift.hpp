// Which line of a function in one version of a program is which line in another.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>

#include "report/model/model.hpp"

namespace vramtrack {

class LineShifts {
 public:
  /// Looks at every frame of both reports that has a line.
  LineShifts(const Report& a, const Report& b);

  /// What to add to a line of this frame's function in A to get to B: the shift that most of its lines, and the other
  /// functions of its file, agree on.
  int of(const Frame& frame_of_a) const;

  /// How sure it is that two frames of one function are the same place: 0 is certain (the same text, or without texts
  /// the same number once the shift is taken off), more is a guess (a line that was edited); no value when they are
  /// not, which also means that one of the two is certainly another place.
  std::optional<int> distance(const Frame& a, const Frame& b) const;

 private:
  using Lines = std::map<int, const std::string*>;  // line -> its text or null
  using Scores = std::map<int, int>;                // by shift
  struct Function {
    Lines a, b;
    int shift = 0;
    std::map<int, int> b_of, a_of;  // lines with the same text, each with one partner
  };
  static void align(Function& function);
  const Function* function_of(const Frame& frame_of_a) const;
  static Scores score_shifts(const Function& function);
  static int best_shift(const Scores& own, const Scores& file, bool module_level);

  std::string script_a_, script_b_;
  std::unordered_map<std::string, Function> functions_;
};

}  // namespace vramtrack
