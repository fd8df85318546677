#include "report/holders/known_holders.hpp"

#include <algorithm>

namespace vramtrack::holders {
namespace {

constexpr KnownHolder rows[] = {
#define KNOWN_HOLDER(name, holder, member, born, what, fix) {#name, holder, member, born, what, fix},
#include "report/holders/known_holders.def"
};

struct Call {
  std::string_view name, functions;
};
constexpr Call calls[] = {
#define KNOWN_CALL(name, functions) {#name, functions},
#include "report/holders/known_holders.def"
};

bool fits_one(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (std::size_t skip = 0; skip <= text.size(); ++skip)
      if (fits_one(pattern.substr(1), text.substr(skip))) return true;
    return false;
  }
  if (text.empty()) return false;
  if (pattern[0] == '#') {
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    return digits > 0 && fits_one(pattern.substr(1), text.substr(digits));
  }
  return pattern[0] == text[0] && fits_one(pattern.substr(1), text.substr(1));
}

}  // namespace

std::span<const KnownHolder> known_holders() { return rows; }

std::string_view calls_that_hand_over(const KnownHolder& holder) {
  for (const Call& call : calls)
    if (call.name == holder.name) return call.functions;
  return "";
}

bool fits(std::string_view pattern, std::string_view text) {
  for (std::size_t begin = 0; begin <= pattern.size();) {
    const std::size_t end = std::min(pattern.find('|', begin), pattern.size());
    if (fits_one(pattern.substr(begin, end - begin), text)) return true;
    begin = end + 1;
  }
  return false;
}

const KnownHolder* known_holder(std::span<const HoldingStep> way, std::span<const std::string> born) {
  const auto fits_birth = [&](const KnownHolder& row) {
    return row.born.empty() ||
           std::any_of(born.begin(), born.end(), [&](const std::string& file) { return file.ends_with(row.born); });
  };
  for (std::size_t i = way.size(); i-- > 0;)
    for (std::size_t row = std::size(rows); row-- > 0;)
      if (fits(rows[row].holder, way[i].holder) &&
          (rows[row].member.empty() || fits(rows[row].member, way[i].member)) && fits_birth(rows[row]))
        return &rows[row];
  return nullptr;
}

}  // namespace vramtrack::holders
