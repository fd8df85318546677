#include "report/holders/store_limits.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace vramtrack::holders {

bool is_meant(const Tokens& tokens, std::size_t at, const StoreQuestion& question) {
  if (tokens[at] != question.name) return false;
  const bool behind_dot = at > 0 && tokens[at - 1] == ".";
  if (question.of_class.empty()) return !behind_dot;
  return behind_dot || at == 0;  // `x = []` in the class's own body
}

bool has_limit(const Tokens& tokens, std::size_t at) {
  constexpr std::array<std::string_view, 4> queues = {"Queue", "LifoQueue", "PriorityQueue", "JoinableQueue"};
  for (; at + 2 < tokens.size(); ++at)
    if (std::ranges::find(queues, tokens[at]) != queues.end() && tokens[at + 1] == "(") {
      const bool named = tokens[at + 2] == "maxsize" && at + 4 < tokens.size();
      const std::string_view size = tokens[at + (named ? 4 : 2)];
      return size != ")" && size != "0";
    }
  return false;
}

bool is_small_cache(const Tokens& decorator) {
  constexpr std::size_t most_digits = 3;
  const auto cache = std::ranges::find(decorator, "lru_cache");
  if (cache == decorator.end()) return false;
  if (cache + 1 == decorator.end()) return true;
  const auto size = std::find_if(cache, decorator.end(), [](std::string_view token) {
    return std::isdigit(static_cast<unsigned char>(token[0])) != 0;
  });
  return size == decorator.end() ? decorator.end() - cache == 3 : size->size() <= most_digits;  // `lru_cache()`
}

bool takes_remainder(const Tokens& tokens) {
  for (std::size_t i = 1; i < tokens.size(); ++i)
    if ((tokens[i] == "%" || tokens[i] == "%=") && tokens[i - 1] != "\"\"") return true;
  return false;
}

std::set<std::string_view> remainders(const std::vector<Statement>& all, std::pair<std::size_t, std::size_t> scope) {
  std::set<std::string_view> names;
  for (std::size_t i = scope.first; i < scope.second; ++i) {
    const Tokens& tokens = all[i].tokens;
    const auto set = std::ranges::find_if(tokens, [](std::string_view t) { return t == "=" || t == "%="; });
    if (set != tokens.end() && set != tokens.begin() && takes_remainder(tokens)) names.insert(*(set - 1));
  }
  return names;
}

bool replaces(const Tokens& tokens, const StoreQuestion& question, const std::set<std::string_view>& remainders) {
  for (std::size_t i = 0; i + 2 < tokens.size(); ++i) {
    if (!is_meant(tokens, i, question)) continue;
    bool subscript = false;
    const std::size_t next = behind_subscripts(tokens, i + 1, subscript);
    if (!subscript || next >= tokens.size() || tokens[next] != "=") continue;
    const Tokens index(tokens.begin() + static_cast<std::ptrdiff_t>(i) + 2,
                       tokens.begin() + static_cast<std::ptrdiff_t>(next) - 1);
    if (takes_remainder(index) || (!index.empty() && remainders.contains(index.back()))) return true;
  }
  return false;
}

bool leaves_when_full(const std::vector<Statement>& all, std::size_t head, const StoreQuestion& question) {
  constexpr std::array<std::string_view, 4> leaving = {"return", "continue", "break", "raise"};
  const Tokens& tokens = all[head].tokens;
  const auto [first, last] = body_of(all, head);
  if (tokens[0] != "if" || first == last || std::ranges::find(leaving, all[last - 1].tokens[0]) == leaving.end())
    return false;
  const auto length = std::ranges::find(tokens, "len");
  const auto comparison = std::ranges::find_if(tokens, [](std::string_view token) {
    return token == "<" || token == "<=" || token == ">" || token == ">=" || token == "==";
  });
  if (length == tokens.end() || comparison == tokens.end() || std::ranges::find(tokens, question.name) == tokens.end())
    return false;
  // `if len(name) == 0: return` asks for something else.
  if (*comparison == "==") return comparison + 1 != tokens.end() && *(comparison + 1) != "0";
  return (comparison->front() == '>') == (length < comparison);
}

bool compares_length(const Statement& statement, const StoreQuestion& question) {
  const Tokens& tokens = statement.tokens;
  if (tokens[0] != "if" && tokens[0] != "while") return false;
  for (std::size_t i = 0; i + 2 < tokens.size(); ++i) {
    if (tokens[i] != "len" || tokens[i + 1] != "(") continue;
    for (std::size_t at = i + 2; at < tokens.size() && tokens[at] != ")"; ++at)
      if (tokens[at] == question.name) return true;
  }
  return false;
}

bool compares_counter(const std::vector<Statement>& all, std::size_t head) {
  constexpr std::array<std::string_view, 4> comparisons = {"<", "<=", ">", ">="};
  const Tokens& tokens = all[head].tokens;
  if (tokens[0] != "if" || std::ranges::find_first_of(tokens, comparisons) == tokens.end()) return false;
  const auto [first, last] = body_of(all, head);
  for (std::size_t at = first; at < last; ++at) {
    const Tokens& inner = all[at].tokens;
    const auto added = std::ranges::find(inner, "+=");
    if (added != inner.end() && added != inner.begin() && std::ranges::find(tokens, *(added - 1)) != tokens.end())
      return true;
  }
  return false;
}

}  // namespace vramtrack::holders
