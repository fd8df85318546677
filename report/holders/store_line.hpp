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
  const FunctionNames* running = nullptr;  // functions of the program that run; nullptr: as the file alone tells
};

StoreLine store_line(std::string_view source, const StoreQuestion& question);

/// The local variable whose value a statement `x = make(...)` at a line stores in `variable`, where the same file has
/// `def make` and that ends in `return name`; also one of several (`loss, x = make(...)`).
struct Returned {
  std::string_view name, function;  // "": the statement is none of that kind
};

Returned returned_at(std::string_view source, int line, std::string_view variable);

/// Whether the statement at a line has a name in it, or the head of a loop or a `with` around it, which holds what it
/// was given as long as it runs. True where there is no statement.
bool statement_names(std::string_view source, int line, std::string_view name);

/// Line of the last statement that calls one of some functions (`register|call_later`), one in a loop before any other;
/// 0: none.
int line_of_call(std::string_view source, std::string_view functions);

/// Line of the statement that gives something to a function of a module (`trackit.log(values)`): one that adds by its
/// name before any other, then one in a loop. 0: there is none, or the choice is open.
int line_of_call_into(std::string_view source, std::string_view module);

/// Line of the one statement in a loop that calls an object, or a method of it, with arguments: what makes an object of
/// a library hold more where no statement says so. 0: there are none, or several.
int line_of_use(std::string_view source, const StoreQuestion& question);

/// Line of the first statement that has `expression` in it (`create_graph`, `atexit.register`); 0: none.
int line_with(std::string_view source, std::string_view expression);

}  // namespace vramtrack::holders
