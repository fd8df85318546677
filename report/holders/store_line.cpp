#include "report/holders/store_line.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <vector>

#include "report/holders/python_statements.hpp"
#include "report/holders/store_limits.hpp"

namespace vramtrack::holders {
namespace {

template <std::size_t n>
bool one_of(const std::array<std::string_view, n>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::pair<std::size_t, std::size_t> scope_of(const std::vector<Statement>& all, const StoreQuestion& question) {
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Tokens& tokens = all[i].tokens;
    if (!question.of_class.empty() && tokens.size() > 1 && tokens[0] == "class" && tokens[1] == question.of_class)
      return body_of(all, i);
    if (question.function.empty() || function_defined(tokens) != question.function) continue;
    std::size_t first = i;
    while (first > 0 && all[first - 1].tokens[0] == "@" && all[first - 1].indent == all[i].indent) --first;
    if (question.first_line == 0 || (all[first].line <= question.first_line && question.first_line <= all[i].line))
      return body_of(all, i);
  }
  return {0, all.size()};
}

constexpr std::array<std::string_view, 36> adders = {"append",
                                                     "extend",
                                                     "insert",
                                                     "add",
                                                     "appendleft",
                                                     "put",
                                                     "extendleft",
                                                     "update",
                                                     "push",
                                                     "setdefault",
                                                     "log",
                                                     "record",
                                                     "store",
                                                     "register",
                                                     "__setitem__",
                                                     "put_nowait",
                                                     "send",
                                                     "submit",
                                                     "register_hook",
                                                     "register_post_accumulate_grad_hook",
                                                     "register_forward_hook",
                                                     "register_forward_pre_hook",
                                                     "register_full_backward_hook",
                                                     "register_backward_hook",
                                                     "add_module",
                                                     "register_module",
                                                     "add_param_group",
                                                     "add_done_callback",
                                                     "add_callback",
                                                     "call_later",
                                                     "call_at",
                                                     "call_soon",
                                                     "apply_async",
                                                     "enqueue",
                                                     "enter_context",
                                                     "enter_async_context"};
/// Functions that add to what they are given first: `heapq.heappush(beams, state)`.
constexpr std::array<std::string_view, 5> adding_functions = {"heappush", "insort", "insort_left", "insort_right",
                                                              "setitem"};
constexpr std::array<std::string_view, 3> taking_functions = {"heappop", "heappushpop", "heapreplace"};
constexpr std::array<std::string_view, 5> takers = {"pop", "popleft", "popitem", "clear", "remove"};
constexpr std::array<std::string_view, 2> takers_by_key = {"pop", "remove"};

bool is_augmented(std::string_view token) {
  return token.size() >= 2 && token.back() == '=' && token != "==" && token != "!=" && token != "<=" && token != ">=" &&
         token != ":=";
}

/// `heappush` of `heappush(a.b.name, ...)`, where the name stands at a place; "": it is no call's first argument.
std::string_view given_first_to(const Tokens& tokens, std::size_t at) {
  std::size_t first = at;
  while (first >= 2 && tokens[first - 1] == ".") first -= 2;
  return first >= 2 && tokens[first - 1] == "(" ? tokens[first - 2] : std::string_view();
}

/// `setattr(self, f"debug_{step}", x)`, `self.register_buffer(name, x)`, `globals()[f"out_{i}"] = x`, `vars(self)[...]
/// = x`: makes variables or attributes whose names are computed.
bool makes_names(const Tokens& tokens, bool of_class) {
  constexpr std::array<std::string_view, 5> setters = {"setattr", "register_buffer", "register_parameter", "add_module",
                                                       "register_module"};
  for (std::size_t i = 0; i + 3 < tokens.size(); ++i) {
    if (of_class && one_of(setters, tokens[i]) && tokens[i + 1] == "(") return true;
    const bool space = of_class ? tokens[i] == "vars" || tokens[i] == "__dict__"
                                : tokens[i] == "globals" || tokens[i] == "locals" || tokens[i] == "vars";
    if (!space) continue;
    std::size_t next = i + 1;
    while (next < tokens.size() && tokens[next] != "[" && tokens[next] != "=" && tokens[next] != ",") ++next;
    bool subscript = false;
    next = behind_subscripts(tokens, next, subscript);
    if (subscript && next < tokens.size() && tokens[next] == "=") return true;
  }
  return false;
}

/// What a statement takes out of the name: whatever is too much; the element of a key that the program knows; the last
/// one, by a statement of its own or as a value.
struct Takes {
  bool some = false, one = false, last = false;
};

/// Whether an index or an argument begins at a place that names an element: no slice, number or `next(iter(...))`.
bool is_key(const Tokens& tokens, std::size_t at) {
  if (at >= tokens.size() || !is_word(tokens[at][0]) || tokens[at] == "next") return false;
  if (std::isdigit(static_cast<unsigned char>(tokens[at][0])) != 0) return false;
  for (int depth = 1; at < tokens.size() && depth > 0; ++at) {
    if (tokens[at] == "(" || tokens[at] == "[") ++depth;
    if (tokens[at] == ")" || tokens[at] == "]") --depth;
    if (tokens[at] == ":") return false;
  }
  return true;
}

/// `self.name = []`, `self.name, self.other = {}, deque(maxlen=n)`, `self.name = self.other = None`: lets go of all.
bool empties(const Statement& statement, const StoreQuestion& question) {
  constexpr std::array<std::string_view, 7> makers = {"list",        "dict",        "set",    "deque",
                                                      "OrderedDict", "defaultdict", "Counter"};
  const Tokens& tokens = statement.tokens;
  std::size_t targets = 0;  // how many tokens are left of the value
  for (std::size_t i = 0; i < tokens.size() && tokens[i] != "("; ++i)
    if (tokens[i] == "=") targets = i + 1;
  bool meant = false;
  for (std::size_t i = 0; i + 1 < targets; ++i)
    meant = meant || (is_meant(tokens, i, question) && (tokens[i + 1] == "=" || tokens[i + 1] == ","));
  return meant &&
         std::ranges::all_of(elements({tokens.begin() + static_cast<std::ptrdiff_t>(targets), tokens.end()}),
                             [&](const Tokens& value) {
                               if (value == Tokens{"[", "]"} || value == Tokens{"{", "}"} || value == Tokens{"None"})
                                 return true;
                               const auto call = std::ranges::find(value, "(");
                               return call != value.end() && call != value.begin() && one_of(makers, *(call - 1));
                             });
}

/// `pairs` of `pairs = self.name.setdefault(key, [])`, `pairs = self.name[key]`: a local name of one of its elements.
std::string_view element_named_by(const Tokens& tokens, const StoreQuestion& question) {
  if (tokens.size() < 3 || tokens[1] != "=" || !is_word(tokens[0][0])) return {};
  std::size_t at = 2;
  while (at + 2 < tokens.size() && tokens[at + 1] == "." && !is_meant(tokens, at, question)) at += 2;
  if (at >= tokens.size() || !is_meant(tokens, at, question)) return {};
  bool subscript = false;
  at = behind_subscripts(tokens, at + 1, subscript);
  const bool asks = at + 2 < tokens.size() && tokens[at] == "." &&
                    (tokens[at + 1] == "setdefault" || tokens[at + 1] == "get") && tokens.back() == ")";
  return asks || (subscript && at == tokens.size()) ? tokens[0] : std::string_view();
}

/// `pairs.append(x)`
bool adds_to(const Tokens& tokens, std::string_view element) {
  return tokens.size() > 3 && tokens[0] == element && tokens[1] == "." && adds(tokens[2]) && tokens[3] == "(";
}

/// How likely it is that a statement makes the name hold more: 0 not at all, from 4 on it adds to it.
int score(const Statement& statement, const StoreQuestion& question, Takes& takes) {
  const Tokens& tokens = statement.tokens;
  int best = 0;
  if (question.of_class.empty() && function_defined(tokens) == question.name) best = 2;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!is_meant(tokens, i, question)) continue;
    bool subscript = false;
    const std::size_t next = behind_subscripts(tokens, i + 1, subscript);
    if (tokens[0] == "del" && subscript) (is_key(tokens, i + 2) ? takes.one : takes.some) = true;
    if (next + 1 < tokens.size() && tokens[next] == ".") {
      // A lambda that would take one out is handed to somebody, who may never call it.
      const auto here = tokens.begin() + static_cast<std::ptrdiff_t>(i);
      if (one_of(takers, tokens[next + 1]) && std::find(tokens.begin(), here, "lambda") == here)
        (one_of(takers_by_key, tokens[next + 1]) && is_key(tokens, next + 3)                ? takes.one
         : tokens[next + 1] == "pop" && next + 3 < tokens.size() && tokens[next + 3] == ")" ? takes.last
                                                                                            : takes.some) = true;
      std::size_t last = next + 1;  // of `model.layers[0].weight.register_hook`, the method
      bool ignored = false;
      for (std::size_t dot = behind_subscripts(tokens, last + 1, ignored);
           dot + 1 < tokens.size() && tokens[dot] == "."; dot = behind_subscripts(tokens, last + 1, ignored))
        last = dot + 1;
      if (one_of(adders, tokens[last]) && !question.object) best = std::max(best, 8);
    }
    if (one_of(adding_functions, given_first_to(tokens, i))) best = std::max(best, 8);
    if (one_of(taking_functions, given_first_to(tokens, i))) takes.some = true;
    if (next >= tokens.size()) continue;
    if (is_augmented(tokens[next])) best = std::max(best, 7);
    if (tokens[next] == "=" || tokens[next] == ":=") {
      const auto from = tokens.begin() + static_cast<std::ptrdiff_t>(next);
      bool reads_itself = false;
      for (auto word = from; word != tokens.end(); ++word)
        reads_itself = reads_itself || is_meant(tokens, static_cast<std::size_t>(word - tokens.begin()), question);
      const bool slices = reads_itself && std::find(from, tokens.end(), ":") != tokens.end() && !subscript &&
                          next + 2 < tokens.size() && std::find(from, tokens.end(), "[") != tokens.end();
      if (slices && std::find(from, tokens.end(), "for") == tokens.end()) takes.some = true;
      const int plain = statement.in_loop ? 3 : 2;
      if (has_limit(tokens, next + 1)) takes.some = true;
      best = std::max(best, subscript ? 7 : reads_itself && statement.in_loop ? 6 : reads_itself ? 5 : plain);
    }
  }
  return best;
}

/// The head of the function that a statement is in, or the number of statements: in none.
std::size_t function_of(const std::vector<Statement>& all, std::size_t at) {
  int indent = all[at].indent;
  for (std::size_t i = at; i-- > 0;) {
    if (all[i].indent >= indent) continue;
    indent = all[i].indent;
    if (!function_defined(all[i].tokens).empty()) return i;
  }
  return all.size();
}

/// Whether the program calls the function that begins at `head`, or its file names it at all. A method `clear()` that
/// nobody calls limits nothing, though it calls the list's own `clear()`. `at_work`: by more than constructors.
bool is_called(const std::vector<Statement>& all, std::size_t head, const StoreQuestion& question, bool at_work) {
  const std::string_view function = function_defined(all[head].tokens);
  if (function.starts_with("__")) return true;
  if (question.running != nullptr)
    return (at_work ? question.running->at_work : question.running->names).contains(function);
  const auto [first, last] = body_of(all, head);
  for (std::size_t at = 0; at < all.size(); ++at) {
    if (at >= first && at < last) continue;
    if (at_work)
      if (const std::size_t by = function_of(all, at);
          by < all.size() && is_constructor(function_defined(all[by].tokens)))
        continue;
    const Tokens& words = all[at].tokens;
    for (std::size_t i = 0; i < words.size(); ++i)
      if (words[i] == function && (i == 0 || words[i - 1] != "def")) return true;
  }
  return false;
}

/// Whether a statement gives the name another value (`x = x + y`), which within a function is a variable of its own.
bool rebinds(const Statement& statement, std::string_view name) {
  const Tokens& tokens = statement.tokens;
  const auto end = std::ranges::find(tokens, std::string_view("="));
  if (end == tokens.end()) return false;
  const std::vector<Tokens> targets = elements({tokens.begin(), end});
  return std::ranges::find(targets, Tokens{name}) != targets.end();
}

/// Whether the function that begins at `head` says that it means the variable outside.
bool declares(const std::vector<Statement>& all, std::size_t head, std::string_view name) {
  const auto [first, last] = body_of(all, head);
  return std::any_of(all.begin() + static_cast<std::ptrdiff_t>(first), all.begin() + static_cast<std::ptrdiff_t>(last),
                     [name](const Statement& statement) {
                       const Tokens& tokens = statement.tokens;
                       return (tokens[0] == "global" || tokens[0] == "nonlocal") &&
                              std::ranges::find(tokens, name) != tokens.end();
                     });
}

/// Whether the statement at a place, which takes the last element, undoes what one before it in the same block added: a
/// stack, that is only as deep as the calls are, unless an error comes in between.
bool undoes(const std::vector<Statement>& all, std::size_t at, const std::set<std::size_t>& adding) {
  for (std::size_t i = at; i-- > 0 && all[i].indent >= all[at].indent;)
    if (all[i].indent == all[at].indent && adding.contains(i)) return true;
  return false;
}

StoreLine best_in(const std::vector<Statement>& all, std::pair<std::size_t, std::size_t> scope,
                  const StoreQuestion& question) {
  StoreLine found;
  std::set<std::size_t> adding, taking, taking_one, emptying, guarded;  // functions
  std::set<std::size_t> add_at;                                         // statements
  std::set<std::pair<std::size_t, std::string_view>> named;             // elements, in the functions that name them
  const std::set<std::string_view> wrapped = remainders(all, scope);
  int best = 0;
  for (std::size_t i = scope.first; i < scope.second; ++i) {
    Takes takes;
    const std::size_t function = function_of(all, i);
    const bool within = question.of_class.empty() && function < all.size() && function >= scope.first;
    if (within && rebinds(all[i], question.name) && !declares(all, function, question.name)) continue;
    // A decorated function that holds memory is a cache: it grows by being called.
    const bool cache = i > 0 && all[i - 1].tokens[0] == "@" && function_defined(all[i].tokens) == question.name;
    int here = cache ? 4 : score(all[i], question, takes);
    found.limited = found.limited || (cache && is_small_cache(all[i - 1].tokens));
    if (const std::string_view name = element_named_by(all[i].tokens, question); !name.empty())
      named.insert({function, name});
    else if (named.contains({function, all[i].tokens[0]}) && adds_to(all[i].tokens, all[i].tokens[0]))
      here = std::max(here, 8);
    if (here >= 4) {
      adding.insert(function);
      add_at.insert(i);
    }
    if (takes.last) (undoes(all, i, add_at) ? takes.one : takes.some) = true;
    if (takes.some || replaces(all[i].tokens, question, wrapped)) taking.insert(function);
    if (takes.one) taking_one.insert(function);
    if (function < all.size() && empties(all[i], question)) emptying.insert(function);
    if (leaves_when_full(all, i, question)) guarded.insert(function);
    if (here >= best && here > 0) {
      best = here;
      found.line = all[i].line;
    }
    if (compares_length(all[i], question) || compares_counter(all, i)) {
      const auto [first, last] = body_of(all, i);
      Takes ignored;
      for (std::size_t inner = first; inner < last; ++inner)
        found.limited = found.limited || score(all[inner], question, ignored) >= 4;
    }
    if (all[i].tokens[0] == "if" && takes_remainder(all[i].tokens)) {  // `if step % 100 == 0: self.name = []`
      const auto [first, last] = body_of(all, i);
      for (std::size_t inner = first; inner < last; ++inner)
        if (empties(all[inner], question)) taking.insert(function);
    }
  }
  found.grows = best >= 4;
  // A function that adds is run, as there is something to hold.
  const auto runs = [&](std::size_t function) {
    return function == all.size() || adding.contains(function) || is_called(all, function, question, false);
  };
  const auto works = [&](std::size_t function) {
    return adding.contains(function) || is_called(all, function, question, true);
  };
  found.limited = found.limited || std::ranges::any_of(taking, runs) ||
                  std::ranges::any_of(guarded, [&](std::size_t function) { return adding.contains(function); });
  // What begins anew now and then may hold too much all the same. Where nothing does so it is what is missing.
  const auto first_idle = [&](const std::set<std::size_t>& functions, const auto& is_used) {
    const auto idle = std::ranges::find_if_not(functions, is_used);
    return idle == functions.end() ? all.size() : *idle;
  };
  std::size_t idle = first_idle(taking, runs);
  if (idle == all.size()) idle = first_idle(emptying, works);
  if (idle < all.size()) {
    found.taker = function_defined(all[idle].tokens);
    found.taker_line = all[idle].line;
  }
  found.by_key = !found.limited && std::ranges::any_of(taking_one, runs);
  found.limited = found.limited || found.by_key;
  return found;
}

}  // namespace

bool adds(std::string_view method) { return one_of(adders, method); }

/// Whether a call is given something by name, from its opening parenthesis on: `keep("model", m)`, not
/// `suggest("rate", 1e-4, log=True)`.
bool is_given_names(const Tokens& tokens, std::size_t open) {
  int depth = 0;
  for (std::size_t i = open; i < tokens.size(); ++i) {
    if (tokens[i] == "(" || tokens[i] == "[" || tokens[i] == "{") ++depth;
    if (tokens[i] == ")" || tokens[i] == "]" || tokens[i] == "}") --depth;
    if (depth == 0) return false;
    const bool keyword = depth == 1 && i + 1 < tokens.size() && tokens[i + 1] == "=";
    const bool constant = tokens[i] == "True" || tokens[i] == "False" || tokens[i] == "None";
    if (is_word(tokens[i][0]) && std::isdigit(static_cast<unsigned char>(tokens[i][0])) == 0 && !keyword && !constant)
      return true;
  }
  return false;
}

int line_of_use(std::string_view source, const StoreQuestion& question) {
  const std::vector<Statement> all = read_statements(source);
  if (all.empty() || question.name.empty()) return 0;
  const auto [first, last] = scope_of(all, question);
  int found = 0, best = 0;
  for (std::size_t at = first; at < last; ++at) {
    const Tokens& tokens = all[at].tokens;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!is_meant(tokens, i, question)) continue;
      std::size_t end = i + 1;
      while (end + 1 < tokens.size() && tokens[end] == ".") end += 2;
      const bool calls = end + 1 < tokens.size() && tokens[end] == "(" && tokens[end + 1] != ")";
      const int here = !calls ? 0 : (is_given_names(tokens, end) ? 2 : 0) + (all[at].in_loop ? 1 : 0);
      if (here == 0 || here < best || found == all[at].line) continue;
      found = here == best ? 0 : all[at].line;  // two: which of them?
      best = here;
    }
  }
  return found;
}

bool limits_itself(std::string_view source, std::string_view of_class, const RunningFunctions* running) {
  const std::vector<Statement> statements = read_statements(source);
  const auto scope = scope_of(statements, {{}, of_class, {}, 0, false, nullptr});
  if (statements.empty() || (scope.first == 0 && scope.second == statements.size())) return false;  // it is not here
  const StoreLine found = best_in(statements, scope, {"self", {}, {}, 0, false, running});
  return found.limited && !found.by_key;
}

StoreLine store_line(std::string_view source, const StoreQuestion& question) {
  if (question.name.empty()) return {};
  const std::vector<Statement> statements = read_statements(source);
  if (statements.empty()) return {};
  const auto scope = scope_of(statements, question);
  const StoreLine own = best_in(statements, scope, question);
  if (own.line == 0 && std::isdigit(static_cast<unsigned char>(question.name.back())) != 0)
    for (std::size_t i = scope.first; i < scope.second; ++i)
      if (makes_names(statements[i].tokens, !question.of_class.empty())) return {statements[i].line, true, false};
  if (own.grows || (scope.first == 0 && scope.second == statements.size())) return own;
  const StoreLine anywhere = best_in(statements, {0, statements.size()}, question);
  return anywhere.grows || own.line == 0 ? anywhere : own;
}

}  // namespace vramtrack::holders
