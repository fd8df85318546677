// The diagnostic log of the tools (-v, -vv, VRAMTRACK_LOG): what was read, looked for and skipped, and how long each
// step took. On standard error; silent until open() is called, and never in a traced process.
#pragma once

#include <chrono>
#include <concepts>
#include <string>
#include <string_view>

namespace vramtrack::log {

enum class Level { debug, trace };

/// 0: silent; 1: files, libraries, what was skipped, the time of each step; 2: also each source file and call site.
void open(unsigned verbosity);

bool is_on(Level level) noexcept;

/// One line, whose unprintable characters are escaped.
void write(Level level, const std::string& line);

namespace detail {
inline void append(std::string& line, std::string_view text) { line += text; }
inline void append(std::string& line, std::integral auto number) { line += std::to_string(number); }
}  // namespace detail

/// A line made of texts and numbers; they are put together only when somebody reads it.
template <typename... Part>
void say(Level level, const Part&... parts) {
  if (!is_on(level)) return;
  std::string line;
  (detail::append(line, parts), ...);
  write(level, line);
}
template <typename... Part>
void debug(const Part&... parts) {
  say(Level::debug, parts...);
}
template <typename... Part>
void trace(const Part&... parts) {
  say(Level::trace, parts...);
}

/// From its construction to its end: a step of a command, whose time is logged.
class Step {
 public:
  explicit Step(std::string what) : what_(std::move(what)) {}
  ~Step();
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  std::string what_;
  Clock::time_point start_ = Clock::now();
};

}  // namespace vramtrack::log
