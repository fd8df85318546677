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

  /// What to add to a line of this frame's function in A to get to B: the shift that most of its lines agree on.
  int of(const Frame& frame) const;

  /// How far apart two frames of one function are, in lines, once the shift is taken off; no value when they are not
  /// the same place. Lines with equal text are the same place.
  std::optional<int> distance(const Frame& a, const Frame& b) const;

 private:
  using Lines = std::map<int, const std::string*>;  // line -> its text or null
  struct Function {
    Lines a, b;
    int shift = 0;
  };
  static int best_shift(const Function& function, bool module_level);

  std::unordered_map<std::string, Function> functions_;
};

}  // namespace vramtrack
