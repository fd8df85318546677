// What the case files share.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "test/corpus/doors/doors.hpp"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace doors {

inline constexpr std::size_t bytes = 3 * 1024 * 1024;
inline constexpr std::size_t too_much = std::size_t{1} << 46;

using Case = std::function<void(const char* row)>;
inline std::map<std::string, Case>& cases() {
  static std::map<std::string, Case> all;
  return all;
}
struct Add {
  Add(const char* row, Case run) { cases()[row] = std::move(run); }
};
#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
/// The case of one row; `name` is the row's name inside.
#define CASE(row, ...) const Add JOIN(case_, row)(#row, [](const char* name) __VA_ARGS__);
#define CALL(step, expression) result(name, step, static_cast<int>(expression))

inline std::uint64_t number(const void* p) { return reinterpret_cast<std::uint64_t>(p); }
inline std::uint64_t number(std::uint64_t p) { return p; }

}  // namespace doors
