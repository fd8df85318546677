// The best way from a root to an object, as a reader of the code writes it: `__main__.assistant.prefix`,
// `train() local losses[3]`. Pure.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "report/holders/held_graph.hpp"
#include "report/holders/known_holders.hpp"

namespace vramtrack::holders {

/// Where the last thing on a way that has a name is declared.
struct Owner {
  std::string name;      // of the variable or attribute; "" when nothing on the way has one
  std::string key;       // the string key behind it that leads on, or ""
  std::string of_class;  // without its module; "" for a variable
  std::string file;      // of the class, module or function
  std::string function;  // of a local variable
  int first_line = 0;    // of the function
  bool user_code = false;
};

/// Nodes from a root (first) to `node` (last).
std::vector<std::uint32_t> way_to(const HeldGraph& held, std::uint32_t node);

/// The expression. `blank`: the last step stands for all elements alike, `[]`.
std::string path_of(const HeldGraph& held, std::uint32_t node, bool blank = false);

/// The step from the node before it; what other elements of the same container would have is the same text: `[]`, for
/// names with numbers in them `['user#']`.
std::string blank_step(const HeldGraph& held, std::uint32_t node);

/// `__main__._#` of an edge from a module or frame to what a variable of it stands for; numbers are blank.
std::string variable_path(const HeldGraph& held, const trace::GraphEdge& edge);

/// `of_user`: the last that the user's own code declares.
Owner owner_of(const HeldGraph& held, std::uint32_t node, bool of_user = false);

/// Whether the way begins at a variable of the user's, not at one of a library.
bool begins_at_user(const HeldGraph& held, std::uint32_t node);

/// Of a half of an `itertools.tee` the one of these nodes that lags behind it and so holds more; of any other node
/// itself.
std::uint32_t half_behind(const HeldGraph& held, std::uint32_t node, const std::set<std::uint32_t>& others);

/// Of a node that suspended functions lead to, each of which is the same variable of the one before (`stream =
/// stage(stream)`), the first of them, in which all piles up; else no_node.
std::uint32_t chain_of_functions(const HeldGraph& held, std::uint32_t node);

/// The coroutine of the user's that a task is to finish, or no_node.
std::uint32_t coroutine_of(const HeldGraph& held, std::uint32_t task);

/// The way as known_holder() wants it.
std::vector<HoldingStep> steps_to(const HeldGraph& held, std::uint32_t node);

/// `losses` of `train() local losses[]`, `model.cache` of `__main__.model.cache[]`.
std::string short_name(const std::string& path);

/// Whether the way leads through an autograd graph.
bool through_autograd(const HeldGraph& held, std::uint32_t node);

/// HolderReport::kind: what holds the node, as its way tells.
std::string kind_of(const HeldGraph& held, std::uint32_t node);

}  // namespace vramtrack::holders
