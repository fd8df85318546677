// Lines of a Python source file at which something is called or named. Reads tokens, as store_line.hpp does. Pure.
#pragma once

#include <string_view>

namespace vramtrack::holders {

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

/// Line of the first statement that has `expression` in it (`create_graph`, `atexit.register`); 0: none.
int line_with(std::string_view source, std::string_view expression);

}  // namespace vramtrack::holders
