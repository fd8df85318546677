// A Python source as statements of tokens: enough to see what a statement does to a name. Pure.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace vramtrack::holders {

using Tokens = std::vector<std::string_view>;

/// A statement, or the head of a compound one.
struct Statement {
  int line = 0;
  int indent = 0;
  bool in_loop = false;
  Tokens tokens;
};

/// Whether a character may be part of a name.
bool is_word(char c);

/// The statements of a source, also of those that stand behind a head in its line; strings and comments vanish. The
/// tokens are parts of `source`, but for strings.
std::vector<Statement> read_statements(std::string_view source);

/// The name of the function that a statement defines, "" where it defines none.
std::string_view function_defined(const Tokens& tokens);

/// Line of one of the tokens of a source, no string.
int line_of(std::string_view source, std::string_view token);

/// [begin, end) of the body of the statement `head`.
std::pair<std::size_t, std::size_t> body_of(const std::vector<Statement>& all, std::size_t head);

/// The statement that begins at a line or last before it, or nullptr.
const Statement* statement_at(const std::vector<Statement>& all, int line);

/// After a name: behind its subscripts.
std::size_t behind_subscripts(const Tokens& tokens, std::size_t at, bool& subscript);

/// What commas separate, brackets left whole.
std::vector<Tokens> elements(const Tokens& tokens);

}  // namespace vramtrack::holders
