// A Python source as statements of tokens: enough to see what a statement does to a name. Pure.
#pragma once

#include <string_view>
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

/// The statements of a source; strings and comments vanish. The tokens are parts of `source`.
std::vector<Statement> read_statements(std::string_view source);

}  // namespace vramtrack::holders
