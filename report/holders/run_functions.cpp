#include "report/holders/run_functions.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "report/holders/python_statements.hpp"

namespace vramtrack::holders {
namespace {

struct Block {
  int indent = 0;
  std::string function;  // "": a class
  bool of_library = false;
};

class Calls {
 public:
  void read(std::string_view source) {
    const std::vector<Statement> all = read_statements(source);
    std::vector<Block> inside;
    bool decorated = false;
    for (const Statement& statement : all) {
      while (!inside.empty() && statement.indent <= inside.back().indent) inside.pop_back();
      const Tokens& tokens = statement.tokens;
      const std::size_t def = tokens[0] == "async" ? 1 : 0;
      if (tokens[0] == "@") {
        mention(inside, tokens, 0);
        decorated = true;
        continue;
      }
      if (tokens.size() > 1 && tokens[0] == "class") {
        inside.push_back({statement.indent, "", extends(tokens)});
      } else if (tokens.size() > def + 1 && tokens[def] == "def") {
        const std::string name(tokens[def + 1]);
        const bool of_library = !inside.empty() && inside.back().function.empty() && inside.back().of_library;
        if (decorated || of_library || name.starts_with("__") || name.starts_with("on_") || name == "forward")
          running_.insert(name);
        mention(inside, tokens, def + 2);
        inside.push_back({statement.indent, name, false});
      } else {
        mention(inside, tokens, 0);
      }
      decorated = false;
    }
  }

  FunctionNames running(bool through_constructors) const {
    FunctionNames found = running_;
    std::vector<std::string> next(found.begin(), found.end());
    while (!next.empty()) {
      const auto named = named_in_.find(next.back());
      const bool followed = named != named_in_.end() && (through_constructors || !is_constructor(next.back()));
      next.pop_back();
      if (!followed) continue;
      for (const std::string& name : named->second)
        if (found.insert(name).second) next.push_back(name);
    }
    return found;
  }

 private:
  /// Whether a class may have methods that a library calls. What the program's own classes hand on is seen by name.
  static bool extends(const Tokens& tokens) {
    for (std::size_t i = 3; i < tokens.size(); ++i)
      if (tokens[i] == "." || tokens[i] == "Module" || tokens[i].ends_with("Callback") || tokens[i] == "Dataset")
        return true;
    return false;
  }

  void mention(const std::vector<Block>& inside, const Tokens& tokens, std::size_t from) {
    const auto function =
        std::find_if(inside.rbegin(), inside.rend(), [](const Block& b) { return !b.function.empty(); });
    FunctionNames& names = function == inside.rend() ? running_ : named_in_[function->function];
    for (std::size_t i = from; i < tokens.size(); ++i)
      if (is_word(tokens[i][0])) names.emplace(tokens[i]);
  }

  FunctionNames running_;  // at first what is named outside of functions
  std::map<std::string, FunctionNames, std::less<>> named_in_;
};

}  // namespace

bool is_constructor(std::string_view function) {
  return function == "__init__" || function == "__post_init__" || function == "__new__";
}

RunningFunctions functions_that_run(std::span<const std::string_view> sources) {
  Calls calls;
  for (const std::string_view source : sources) calls.read(source);
  return {calls.running(true), calls.running(false)};
}

}  // namespace vramtrack::holders
