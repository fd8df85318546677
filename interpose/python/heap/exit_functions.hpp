// What `atexit` keeps. From CPython 3.10 to 3.13 its functions and their arguments stand in memory of the interpreter's
// own that no object shows; before and after that the collector sees them.
#pragma once

#include "interpose/python/heap/objects.hpp"

namespace vramtrack::agent::heap {

/// (a function that is registered, how many are): a list of the functions, tuples of arguments and dicts of keyword
/// arguments of the others; empty where they were not found. With the GIL.
Object* exit_functions(Object*, Object* arguments) noexcept;

}  // namespace vramtrack::agent::heap
