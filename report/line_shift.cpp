#include "report/line_shift.hpp"

#include <cstdlib>
#include <tuple>

#include "report/sites.hpp"

namespace vramtrack {
namespace {

constexpr int nearby_lines = 12;
constexpr int other_text_costs = 5;         // lines; the same line number with another text is a weaker match
constexpr int lone_module_line_moves = 25;  // a script's only line of interest, moved further, is another line
constexpr std::size_t lines_compared = 64;  // per function: enough to see a shift

std::string function_key(const Frame& frame) { return std::string(file_name(frame.file)) + '\x1f' + frame.function; }

bool same_text(const std::string* a, const std::string* b) { return a != nullptr && b != nullptr && *a == *b; }

}  // namespace

LineShifts::LineShifts(const Report& a, const Report& b) {
  const auto collect = [this](const Report& report, Lines Function::*side) {
    for (const Frame& frame : report.frames) {
      if (frame.line <= 0) continue;
      (functions_[function_key(frame)].*side)[frame.line] = frame.source ? &*frame.source : nullptr;
    }
  };
  collect(a, &Function::a);
  collect(b, &Function::b);
  for (auto& [key, function] : functions_) function.shift = best_shift(function, key.ends_with("\x1f<module>"));
}

int LineShifts::best_shift(const Function& function, bool module_level) {
  // A shift scores a point per line that it maps onto a line, and two more where the text is the same.
  std::map<int, int> scores;
  std::size_t seen_a = 0;
  for (const auto& [line_a, text_a] : function.a) {
    if (++seen_a > lines_compared) break;
    std::size_t seen_b = 0;
    for (const auto& [line_b, text_b] : function.b) {
      if (++seen_b > lines_compared) break;
      scores[line_b - line_a] += same_text(text_a, text_b) ? 3 : 1;
    }
  }
  int best = 0, best_score = 0;
  for (const auto& [shift, score] : scores) {
    if (std::tuple(score, -std::abs(shift)) > std::tuple(best_score, -std::abs(best)) || best_score == 0) {
      best = shift;
      best_score = score;
    }
  }
  if (best_score == 1 && module_level && std::abs(best) > lone_module_line_moves) return 0;
  return best;
}

int LineShifts::of(const Frame& frame) const {
  const auto at = functions_.find(function_key(frame));
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
