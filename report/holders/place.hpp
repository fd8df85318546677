// Where the user's code fills a holder, and whether the code is done with it. Pure but for source files, which it asks
// for through a function.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "report/holders/held_graph.hpp"

namespace vramtrack::holders {

/// Text of a source file, "" when it cannot be read.
using ReadSource = std::function<const std::string&(const std::string& file)>;

struct Place {
  std::string file;      // "": not known
  int line = 0;          // of the statement that stores it; 0: not known
  bool adds = false;     // that statement adds to it
  bool limited = false;  // the code takes elements out again
  bool by_key = false;   // each by itself only
  std::string taker;     // `clear()`: a function that would, which nothing calls; else ""
  int taker_line = 0;
  std::string variable;  // what that statement calls it, where it has another name by now; else ""
};

/// `library`: set to the file of the installed library whose object it is, where it is one.
Place place_of(const HeldGraph& held, std::uint32_t node, const ReadSource& read_source, std::string& library);

/// A variable that holds an object alone, although its code does not read it again.
struct Idle {
  std::string file, function, variable;
  int line = 0;         // that was running
  bool module = false;  // a variable of a module
};

std::optional<Idle> idle_variable(const HeldGraph& held, std::uint32_t node, const ReadSource& read_source);

}  // namespace vramtrack::holders
