#include "report/line_shift.hpp"

#include <cstdlib>
#include <tuple>

#include "report/site_key.hpp"

namespace vramtrack {
namespace {

constexpr int nearby_lines = 12;
constexpr int other_text_costs = 5;         // lines; the same line number with another text is a weaker match
constexpr int lone_module_line_moves = 25;  // a script's only line of interest, moved further, is another line
constexpr std::size_t lines_compared = 64;  // per function: enough to see a shift

std::string function_key(const Frame& frame, const std::string& script) {
  return compared_file(frame, script) + '\x1f' + frame.function;
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

int LineShifts::of(const Frame& frame_of_a) const {
  const auto at = functions_.find(function_key(frame_of_a, script_a_));
  return at == functions_.end() ? 0 : at->second.shift;
}

std::optional<int> LineShifts::distance(const Frame& a, const Frame& b) const {
  if (a.line <= 0 || b.line <= 0) return 0;
  const int moved = std::abs(b.line - a.line - of(a));
  if (a.source && b.source && !a.source->empty()) {
    if (*a.source == *b.source) return moved == 0 ? 0 : 1;
    return moved <= nearby_lines ? std::optional(moved + other_text_costs) : std::nullopt;
  }
  return moved <= nearby_lines ? std::optional(moved) : std::nullopt;
}

}  // namespace vramtrack
