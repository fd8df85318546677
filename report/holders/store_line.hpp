// Where in a Python source file a variable is stored to or added to: the statement that a reader must change. Reads
// tokens, not a syntax tree: enough to tell `x.append(...)`, `x[k] = ...`, `x += ...` and `x = ...` apart. Pure.
#pragma once

#include <string>
#include <string_view>

#include "report/holders/run_functions.hpp"

namespace vramtrack::holders {

struct StoreLine {
  int line = 0;          // 0: none found
  bool grows = false;    // the statement adds to it; else it is a plain assignment
  bool limited = false;  // the code takes elements out again, or adds below a length only
  bool by_key = false;   // and does so for each element by itself only (`del sessions[key]`), not for what is too much
  std::string_view taker = {};  // a function that would take elements out, which nothing calls; "": there is none
  int taker_line = 0;
};

/// What to look for: an attribute of a class, a variable of the function that begins at a line (its decorators
/// included), or, with neither, a global.
struct StoreQuestion {
  std::string_view name;
  std::string_view of_class;
  std::string_view function;
  int first_line = 0;
  bool object = false;  // one that its methods add nothing to: the statement that assigns it is meant
  const RunningFunctions* running = nullptr;  // functions of the program that run; nullptr: as the file alone tells
};

StoreLine store_line(std::string_view source, const StoreQuestion& question);

/// Whether a class of a source takes out of itself what is too much: `del self[next(iter(self))]`, `self.popitem()`.
bool limits_itself(std::string_view source, std::string_view of_class, const RunningFunctions* running);

/// Line of the statement that calls an object, or a method of it, with arguments: what makes an object of a library
/// hold more where no statement says so. One that is given something by name before any other, then one in a loop. 0:
/// there is none, or the choice is open.
int line_of_use(std::string_view source, const StoreQuestion& question);

/// Whether a method of this name makes its object hold more (`append`).
bool adds(std::string_view method);

}  // namespace vramtrack::holders
