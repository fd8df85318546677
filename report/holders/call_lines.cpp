#include "report/holders/call_lines.hpp"

#include <algorithm>
#include <vector>

#include "report/holders/known_holders.hpp"
#include "report/holders/python_statements.hpp"
#include "report/holders/store_line.hpp"

namespace vramtrack::holders {

bool statement_names(std::string_view source, int line, std::string_view name) {
  const std::vector<Statement> all = read_statements(source);
  const Statement* const found = statement_at(all, line);
  const auto names = [name](const Statement& statement) {
    return std::ranges::find(statement.tokens, name) != statement.tokens.end();
  };
  if (found == nullptr || names(*found)) return true;
  int indent = found->indent;
  for (std::size_t i = static_cast<std::size_t>(found - all.data()); i-- > 0;) {
    if (all[i].indent >= indent) continue;
    indent = all[i].indent;
    const Tokens& tokens = all[i].tokens;
    const std::string_view word = tokens[tokens[0] == "async" && tokens.size() > 1 ? 1 : 0];
    if (word == "def" || word == "class") break;
    if ((word == "for" || word == "with") && names(all[i])) return true;
  }
  return false;
}

Returned returned_at(std::string_view source, int line, std::string_view variable) {
  const std::vector<Statement> all = read_statements(source);
  const Statement* const call = statement_at(all, line);
  if (call == nullptr || call->line != line) return {};
  const Tokens& tokens = call->tokens;
  const auto equals = static_cast<std::size_t>(std::find(tokens.begin(), tokens.end(), "=") - tokens.begin());
  const std::vector<Tokens> targets = elements({tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(equals)});
  std::size_t at = equals + 1;
  if (at < tokens.size() && tokens[at] == "await") ++at;
  while (at + 2 < tokens.size() && tokens[at + 1] == ".") at += 2;
  if (at + 1 >= tokens.size() || tokens[at + 1] != "(") return {};
  const auto target = std::find(targets.begin(), targets.end(), Tokens{variable});
  if (target == targets.end()) return {};
  Returned found;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Tokens& head = all[i].tokens;
    if (function_defined(head) != tokens[at]) continue;
    if (!found.function.empty()) return {};  // two functions of that name
    found.function = function_defined(head);
    const auto [first, last] = body_of(all, i);
    for (std::size_t inner = first; inner < last; ++inner) {
      if (all[inner].tokens[0] != "return") continue;
      const std::vector<Tokens> values = elements({all[inner].tokens.begin() + 1, all[inner].tokens.end()});
      const auto place = static_cast<std::size_t>(target - targets.begin());
      const bool fits = values.size() == targets.size() && values[place].size() == 1;
      found.name = fits ? values[place][0] : "";
    }
  }
  return found.name.empty() || !is_word(found.name[0]) ? Returned{} : found;
}

int line_of_call(std::string_view source, std::string_view functions) {
  int found = 0;
  bool in_loop = false;
  for (const Statement& statement : read_statements(source)) {
    const Tokens& tokens = statement.tokens;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const bool decorates = tokens[0] == "@" && i + 1 == tokens.size();  // `@atexit.register`: called, too
      const bool calls = i + 1 < tokens.size() && tokens[i + 1] == "(" && (i == 0 || tokens[i - 1] != "def");
      if (!decorates && !calls) continue;
      if (!fits(functions, tokens[i]) || (in_loop && !statement.in_loop)) continue;
      found = line_of(source, tokens[i]);
      in_loop = statement.in_loop;
    }
  }
  return found;
}

int line_of_call_into(std::string_view source, std::string_view module) {
  int found = 0, best = 0;
  for (const Statement& statement : read_statements(source)) {
    const Tokens& tokens = statement.tokens;
    for (std::size_t i = 0; i + 4 < tokens.size(); ++i) {
      if (tokens[i] != module || tokens[i + 1] != "." || (i > 0 && tokens[i - 1] == ".")) continue;
      std::size_t last = i + 2;
      while (last + 2 < tokens.size() && tokens[last + 1] == ".") last += 2;
      if (last + 2 >= tokens.size() || tokens[last + 1] != "(" || tokens[last + 2] == ")") continue;
      const int here = 1 + (adds(tokens[last]) ? 2 : 0) + (statement.in_loop ? 1 : 0);
      if (here >= best && statement.line != found) {
        found = here == best ? 0 : statement.line;
        best = here;
      }
    }
  }
  return found;
}

int line_with(std::string_view source, std::string_view expression) {
  const std::vector<Statement> wanted = read_statements(expression);
  if (wanted.empty()) return 0;
  const Tokens& words = wanted.front().tokens;
  for (const Statement& statement : read_statements(source))
    if (std::search(statement.tokens.begin(), statement.tokens.end(), words.begin(), words.end()) !=
        statement.tokens.end())
      return statement.line;
  return 0;
}

}  // namespace vramtrack::holders
