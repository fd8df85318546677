// Which functions of a program's own files run, as far as their text tells by names. Pure.
#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>

namespace vramtrack::holders {

using FunctionNames = std::set<std::string, std::less<>>;

/// A function that the interpreter calls when an object is made.
bool is_constructor(std::string_view function);

struct RunningFunctions {
  FunctionNames names;
  FunctionNames at_work;  // of these, what more than constructors leads to
};

/// Names of functions and methods that a statement outside of any function leads to, through others, or that may be
/// called without a word of it: special methods, `on_x` and `forward`, decorated ones, those of classes that extend a
/// library's. A `close()` that only a function which nobody calls would call is none of them.
RunningFunctions functions_that_run(std::span<const std::string_view> sources);

}  // namespace vramtrack::holders
