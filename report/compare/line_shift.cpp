#include "report/compare/line_shift.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iterator>
#include <string_view>
#include <tuple>
#include <vector>

#include "report/analysis/site_key.hpp"
#include "report/model/sites.hpp"

namespace vramtrack {
namespace {

constexpr int nearby_lines = 12;
constexpr int other_text_costs = 5;           // lines; the same line number with another text is a weaker match
constexpr int same_text_elsewhere_costs = 2;  // lines; the function has this text more than once
constexpr std::size_t similar_percent = 50;   // of two lines' words are the same when one is an edit of the other
constexpr int lone_module_line_moves = 25;    // a script's only line of interest, moved further, is another line
constexpr std::size_t lines_compared = 64;    // per function: enough to see a shift
constexpr std::size_t lines_aligned = 512;    // per function

std::string function_key(const Frame& frame, const std::string& script) {
  return compared_file(frame, script) + '\x1f' + frame.function;
}

bool has_text(const Frame& frame) { return frame.source && !frame.source->empty(); }

/// The words of a line, with what is between them dropped and every number the same word.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (std::size_t at = 0; at < text.size();) {
    if (!is_word(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && is_word(text[end])) ++end;
    const bool number = std::isdigit(static_cast<unsigned char>(text[at])) != 0;
    words.push_back(number ? "0" : std::string(text.substr(at, end - at)));
    at = end;
  }
  return words;
}

/// Whether one line may be an edit of the other: it starts with the same word and shares most words.
bool similar(const std::string& a, const std::string& b) {
  std::vector<std::string> words_a = words_of(a), words_b = words_of(b);
  if (words_a.empty() || words_b.empty() || words_a.front() != words_b.front()) return false;
  std::sort(words_a.begin(), words_a.end());
  std::sort(words_b.begin(), words_b.end());
  std::vector<std::string> both;
  std::set_intersection(words_a.begin(), words_a.end(), words_b.begin(), words_b.end(), std::back_inserter(both));
  return 2 * both.size() * 100 >= similar_percent * (words_a.size() + words_b.size());
}

bool same_text(const std::string* a, const std::string* b) { return a != nullptr && b != nullptr && *a == *b; }

}  // namespace

LineShifts::LineShifts(const Report& a, const Report& b) : script_a_(main_script(a)), script_b_(main_script(b)) {
  const auto collect = [this](const Report& report, const std::string& script, Lines Function::*side) {
    for (const Frame& frame : report.frames) {
      if (frame.line <= 0) continue;
      (functions_[function_key(frame, script)].*side)[frame.line] = frame.source ? &*frame.source : nullptr;
    }
  };
  collect(a, script_a_, &Function::a);
  collect(b, script_b_, &Function::b);
  std::unordered_map<std::string, Scores> by_function, by_file;
  for (const auto& [key, function] : functions_) {
    by_function[key] = score_shifts(function);
    for (const auto& [shift, score] : by_function[key]) by_file[key.substr(0, key.find('\x1f'))][shift] += score;
  }
  for (auto& [key, function] : functions_) {
    const Scores& file = by_file[key.substr(0, key.find('\x1f'))];
    function.shift = best_shift(by_function[key], file, key.ends_with("\x1f<module>"));
    align(function);
  }
}

/// A shift scores a point per line that it maps onto a line, and two more where the text is the same.
LineShifts::Scores LineShifts::score_shifts(const Function& function) {
  Scores scores;
  std::size_t seen_a = 0;
  for (const auto& [line_a, text_a] : function.a) {
    if (++seen_a > lines_compared) break;
    std::size_t seen_b = 0;
    for (const auto& [line_b, text_b] : function.b) {
      if (++seen_b > lines_compared) break;
      scores[line_b - line_a] += same_text(text_a, text_b) ? 3 : 1;
    }
  }
  return scores;
}

/// The best of the function's own shifts, the file's other functions voting among them: lines inserted at the top of
/// a file move all of it.
int LineShifts::best_shift(const Scores& own, const Scores& file, bool module_level) {
  int best = 0, best_score = 0;
  for (const auto& [shift, unused] : own) {
    const int score = file.at(shift);
    if (std::tuple(score, -std::abs(shift)) > std::tuple(best_score, -std::abs(best)) || best_score == 0) {
      best = shift;
      best_score = score;
    }
  }
  if (best_score == 1 && module_level && std::abs(best) > lone_module_line_moves) return 0;
  return best;
}

/// Gives the lines of equal text their partners: first the longest sequence that keeps its order (of the equal ones the
/// one that the shift expects), then what was moved to another place in the function, the nearest first.
void LineShifts::align(Function& function) {
  struct Line {
    int number;
    const std::string* text;
  };
  std::vector<Line> a, b;
  const auto collect = [](const Lines& lines, std::vector<Line>& list) {
    for (const auto& [number, text] : lines) {
      if (text != nullptr && !text->empty() && list.size() < lines_aligned) list.push_back({number, text});
    }
  };
  collect(function.a, a);
  collect(function.b, b);
  const auto value = [&](const Line& x, const Line& y) {
    return *x.text != *y.text ? 0 : y.number - x.number == function.shift ? 3 : 2;
  };
  const std::size_t width = b.size() + 1;
  std::vector<int> best((a.size() + 1) * width, 0);  // of a[i...] and b[j...]
  for (std::size_t i = a.size(); i-- > 0;) {
    for (std::size_t j = b.size(); j-- > 0;) {
      const int pair = value(a[i], b[j]);
      best[i * width + j] = std::max(
          {best[(i + 1) * width + j], best[i * width + j + 1], pair > 0 ? pair + best[(i + 1) * width + j + 1] : 0});
    }
  }
  const auto join = [&](const Line& x, const Line& y) {
    function.b_of[x.number] = y.number;
    function.a_of[y.number] = x.number;
  };
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const int here = best[i * width + j];
    if (const int pair = value(a[i], b[j]); pair > 0 && here == pair + best[(i + 1) * width + j + 1]) {
      join(a[i++], b[j++]);
    } else if (here == best[(i + 1) * width + j]) {
      ++i;
    } else {
      ++j;
    }
  }
  for (const Line& x : a) {
    if (function.b_of.contains(x.number)) continue;
    const Line* nearest = nullptr;
    const auto away = [&](const Line& y) { return std::abs(y.number - x.number - function.shift); };
    for (const Line& y : b) {
      if (*y.text != *x.text || function.a_of.contains(y.number)) continue;
      if (nearest == nullptr || away(y) < away(*nearest)) nearest = &y;
    }
    if (nearest != nullptr) join(x, *nearest);
  }
}

const LineShifts::Function* LineShifts::function_of(const Frame& frame_of_a) const {
  const auto at = functions_.find(function_key(frame_of_a, script_a_));
  return at == functions_.end() ? nullptr : &at->second;
}

int LineShifts::of(const Frame& frame_of_a) const {
  const Function* function = function_of(frame_of_a);
  return function == nullptr ? 0 : function->shift;
}

std::optional<int> LineShifts::distance(const Frame& a, const Frame& b) const {
  if (a.line <= 0 || b.line <= 0) return 0;
  const Function* function = function_of(a);
  if (function == nullptr) return std::nullopt;
  const int moved = std::abs(b.line - a.line - function->shift);
  if (has_text(a) && has_text(b)) {
    const auto partner = function->b_of.find(a.line);
    if (partner != function->b_of.end() && partner->second == b.line) return 0;
    if (*a.source == *b.source) return same_text_elsewhere_costs;
    if (partner != function->b_of.end() || function->a_of.contains(b.line)) return std::nullopt;
    // Edited. Lines of libraries change with each version of them: the program's own lines tell the sites apart.
    if (!is_own_frame(a)) return std::min(moved, nearby_lines) + other_text_costs;
    if (moved > nearby_lines || !similar(*a.source, *b.source)) return std::nullopt;
    return moved + other_text_costs;
  }
  if (moved == 0) return 0;
  if (function->b.contains(a.line + function->shift) || function->a.contains(b.line - function->shift)) {
    return std::nullopt;
  }
  return moved <= nearby_lines ? std::optional(moved) : std::nullopt;
}

}  // namespace vramtrack
