#include "report/holders/python_statements.hpp"

#include <algorithm>
#include <cctype>
#include <string>

namespace vramtrack::holders {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0; }

namespace {

/// Splits a source into statements; strings and comments vanish.
class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Statement> read() {
    while (at_ < source_.size()) read_line_start();
    end_statement();
    return std::move(statements_);
  }

 private:
  void read_line_start() {
    int indent = 0;
    while (at_ < source_.size() && (source_[at_] == ' ' || source_[at_] == '\t')) {
      indent += source_[at_] == '\t' ? 8 : 1;
      ++at_;
    }
    current_.indent = indent;
    current_.line = line_;
    while (at_ < source_.size()) {
      const char c = source_[at_];
      if (c == '\n') {
        ++at_;
        ++line_;
        if (depth_ > 0) continue;
        return end_statement();
      }
      read_token(c);
    }
  }

  void read_token(char c) {
    if (c == '#') {
      while (at_ < source_.size() && source_[at_] != '\n') ++at_;
    } else if (c == '\\' && at_ + 1 < source_.size() && source_[at_ + 1] == '\n') {
      at_ += 2;
      ++line_;
    } else if (c == '"' || c == '\'') {
      read_string(c);
    } else if (is_word(c)) {
      const std::size_t start = at_;
      while (at_ < source_.size() && is_word(source_[at_])) ++at_;
      const bool prefix = at_ < source_.size() && at_ - start <= 2 && (source_[at_] == '"' || source_[at_] == '\'');
      if (!prefix) current_.tokens.push_back(source_.substr(start, at_ - start));
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\f') {
      ++at_;
    } else if (c == ';' && depth_ == 0) {
      ++at_;
      end_statement_in_line(current_.indent);
    } else {
      read_operator(c);
      if (c == ':' && depth_ == 0 && current_.tokens.back() == ":" && is_head())
        end_statement_in_line(current_.indent + 1);
    }
  }

  void read_operator(char c) {
    if (c == '(' || c == '[' || c == '{') ++depth_;
    if ((c == ')' || c == ']' || c == '}') && depth_ > 0) --depth_;
    std::size_t length = 1;
    const auto next = [&](std::size_t i) { return at_ + i < source_.size() ? source_[at_ + i] : '\0'; };
    if (std::string_view("+-*/|&^@%<>=!:").find(c) != std::string_view::npos) {
      if ((c == '*' || c == '/' || c == '<' || c == '>') && next(1) == c) length = 2;
      if (next(length) == '=') ++length;
    }
    current_.tokens.push_back(source_.substr(at_, length));
    at_ += length;
  }

  void read_string(char quote) {
    const bool triple = source_.substr(at_, 3) == std::string(3, quote);
    at_ += triple ? 3 : 1;
    while (at_ < source_.size()) {
      if (source_[at_] == '\\') {
        if (at_ + 1 < source_.size() && source_[at_ + 1] == '\n') ++line_;
        at_ += 2;
        continue;
      }
      if (source_[at_] == '\n') {
        if (!triple) break;
        ++line_;
      }
      if (source_[at_] == quote && (!triple || source_.substr(at_, 3) == std::string(3, quote))) {
        at_ += triple ? 3 : 1;
        break;
      }
      ++at_;
    }
    at_ = std::min(at_, source_.size());
    current_.tokens.push_back("\"\"");
  }

  /// Whether what was read is the head of a compound statement, up to its colon.
  bool is_head() const {
    constexpr std::string_view words[] = {"if",  "elif",   "else",    "for", "while", "with",
                                          "try", "except", "finally", "def", "class"};
    const Tokens& tokens = current_.tokens;
    return std::ranges::find(words, first_word(tokens)) != std::end(words) &&
           std::ranges::find(tokens, "lambda") == tokens.end();
  }

  static std::string_view first_word(const Tokens& tokens) {
    return tokens[0] == "async" && tokens.size() > 1 ? tokens[1] : tokens[0];
  }

  /// Another statement follows in the line.
  void end_statement_in_line(int indent) {
    end_statement();
    current_.indent = indent;
    current_.line = line_;
  }

  void end_statement() {
    if (!current_.tokens.empty()) {
      while (!loops_.empty() && current_.indent <= loops_.back()) loops_.pop_back();
      current_.in_loop = !loops_.empty();
      const std::string_view first = first_word(current_.tokens);
      if (first == "for" || first == "while") loops_.push_back(current_.indent);
      statements_.push_back(std::move(current_));
    }
    current_ = {};
    depth_ = 0;
  }

  std::string_view source_;
  std::size_t at_ = 0;
  int line_ = 1, depth_ = 0;
  Statement current_;
  std::vector<int> loops_;
  std::vector<Statement> statements_;
};

}  // namespace

std::vector<Statement> read_statements(std::string_view source) { return Lexer(source).read(); }

std::string_view function_defined(const Tokens& tokens) {
  const std::size_t def = tokens[0] == "async" ? 1 : 0;
  return tokens.size() > def + 1 && tokens[def] == "def" ? tokens[def + 1] : std::string_view();
}

int line_of(std::string_view source, std::string_view token) {
  return 1 + static_cast<int>(std::count(source.data(), token.data(), '\n'));
}

std::pair<std::size_t, std::size_t> body_of(const std::vector<Statement>& all, std::size_t head) {
  std::size_t end = head + 1;
  while (end < all.size() && all[end].indent > all[head].indent) ++end;
  return {head + 1, end};
}

const Statement* statement_at(const std::vector<Statement>& all, int line) {
  const Statement* found = nullptr;
  for (const Statement& statement : all)
    if (statement.line <= line) found = &statement;
  return found;
}

std::vector<Tokens> elements(const Tokens& tokens) {
  std::vector<Tokens> found(1);
  int depth = 0;
  for (const std::string_view token : tokens) {
    if (token == "(" || token == "[" || token == "{") ++depth;
    if (token == ")" || token == "]" || token == "}") --depth;
    if (token == "," && depth == 0)
      found.emplace_back();
    else
      found.back().push_back(token);
  }
  return found;
}

std::size_t behind_subscripts(const Tokens& tokens, std::size_t at, bool& subscript) {
  while (at < tokens.size() && tokens[at] == "[") {
    int depth = 0;
    for (; at < tokens.size(); ++at) {
      if (tokens[at] == "[" || tokens[at] == "(" || tokens[at] == "{") ++depth;
      if ((tokens[at] == "]" || tokens[at] == ")" || tokens[at] == "}") && --depth == 0) break;
    }
    if (at < tokens.size()) ++at;
    subscript = true;
  }
  return at;
}

}  // namespace vramtrack::holders
