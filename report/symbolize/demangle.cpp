#include "report/symbolize/demangle.hpp"

#include <cxxabi.h>

#include <cstdlib>

#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

constexpr std::size_t longest_name = 400;  // PyTorch has instantiations of 10,000 characters

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// The index of the bracket that opens what ends at `close`, counting all kinds of brackets alike; npos if none.
std::size_t opening(std::string_view text, std::size_t close) {
  int depth = 0;
  for (std::size_t i = close + 1; i-- > 0;) {
    const char c = text[i];
    // The arrows of "operator->", "operator<<" and of trailing types are no brackets.
    const bool arrow = c == '>' && i > 0 &&
                       (text[i - 1] == '-' || ends_with(text.substr(0, i + 1), "operator>") ||
                        ends_with(text.substr(0, i + 1), "operator>>"));
    const bool less =
        c == '<' && (ends_with(text.substr(0, i + 1), "operator<") || ends_with(text.substr(0, i + 1), "operator<<"));
    if (c == ')' || c == ']' || c == '}' || (c == '>' && !arrow)) ++depth;
    if (c == '(' || c == '[' || c == '{' || (c == '<' && !less)) {
      if (--depth == 0) return i;
    }
  }
  return text.npos;
}

/// Where the name begins behind a return type: after the last space outside of brackets that does not belong to an
/// operator's own name.
std::size_t name_begin(std::string_view text) {
  const std::size_t op = text.rfind("operator");
  const std::size_t limit = op == text.npos ? text.size() : op;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < limit; ++i) {
    const char c = text[i];
    if (c == '(' || c == '<' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == '>' || c == ']' || c == '}') --depth;
    if (c == ' ' && depth == 0) begin = i + 1;
  }
  return begin;
}

}  // namespace

std::string short_name(std::string_view text) {
  while (ends_with(text, "]")) {  // " [clone .cold]", " [abi:cxx11]" is kept: it has no space before it
    const std::size_t clone = text.rfind(" [");
    if (clone == text.npos) break;
    text = text.substr(0, clone);
  }
  for (const std::string_view qualifier : {" const", " volatile", " &", " &&"}) {
    if (ends_with(text, qualifier)) text.remove_suffix(qualifier.size());
  }
  if (ends_with(text, ")")) {
    const std::size_t open = opening(text, text.size() - 1);
    // "operator()" has its own pair; "(anonymous namespace)" is no parameter list, but never ends a name.
    if (open != text.npos && open > 0 && !ends_with(text.substr(0, open), "operator")) text = text.substr(0, open);
  }
  text = text.substr(name_begin(text));
  if (text.size() <= longest_name) return std::string(text);
  return std::string(utf8::prefix(text, longest_name)) + "...";
}

std::string function_name(std::string_view mangled) {
  if (const std::size_t version = mangled.find('@'); version != mangled.npos) mangled = mangled.substr(0, version);
  if (mangled.substr(0, 2) != "_Z") {
    // Clone suffixes of C functions: "_PyEval_EvalFrameDefault.cold".
    const std::size_t dot = mangled.find('.', 1);
    return std::string(mangled.substr(0, dot));
  }
  int status = 0;
  char* const text = abi::__cxa_demangle(std::string(mangled).c_str(), nullptr, nullptr, &status);
  if (text == nullptr) return std::string(mangled);
  std::string name = short_name(text);
  std::free(text);
  return name;
}

}  // namespace vramtrack
