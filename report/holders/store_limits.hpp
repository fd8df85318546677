// What in a Python source limits what a name holds: statements that keep it from growing past a size. Private to
// store_line.cpp, which says which statements add to it. Pure.
#pragma once

#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "report/holders/python_statements.hpp"
#include "report/holders/store_line.hpp"

namespace vramtrack::holders {

/// Whether a name stands where the question means it: an attribute behind a dot, a variable without one.
bool is_meant(const Tokens& tokens, std::size_t at, const StoreQuestion& question);

/// `queue.Queue(100)`, `Queue(maxsize=limit)`: a queue that does not take more.
bool has_limit(const Tokens& tokens, std::size_t at);

/// `@lru_cache`, which has a limit of 128, `@functools.lru_cache(maxsize=500)`: a cache that lets go of what is too
/// much.
bool is_small_cache(const Tokens& decorator);

/// Whether a statement computes a remainder: `i % size`, which `"name_%d" % i` is not.
bool takes_remainder(const Tokens& tokens);

/// Names that are set to a remainder: `self.at = (self.at + 1) % size`.
std::set<std::string_view> remainders(const std::vector<Statement>& all, std::pair<std::size_t, std::size_t> scope);

/// `self.name[i % size] = x`, `self.name[self.at] = x` where `at` is a remainder: takes the place of another one.
bool replaces(const Tokens& tokens, const StoreQuestion& question, const std::set<std::string_view>& remainders);

/// `if len(name) >= limit: return`
bool leaves_when_full(const std::vector<Statement>& all, std::size_t head, const StoreQuestion& question);

/// `if len(name) < limit:`
bool compares_length(const Statement& statement, const StoreQuestion& question);

/// `if self.count < self.size:` with `self.count += 1` below it. A `while` of that kind is any loop.
bool compares_counter(const std::vector<Statement>& all, std::size_t head);

}  // namespace vramtrack::holders
