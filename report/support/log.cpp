#include "report/support/log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "report/support/utf8.hpp"

namespace vramtrack::log {
namespace {

std::shared_ptr<spdlog::logger> g_log;

spdlog::level::level_enum level_of(Level level) {
  return level == Level::debug ? spdlog::level::debug : spdlog::level::trace;
}

}  // namespace

void open(unsigned verbosity) {
  if (verbosity == 0) return;
  g_log = std::make_shared<spdlog::logger>("vramtrack", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  g_log->set_pattern("%H:%M:%S.%e vramtrack[%P] %l: %v");
  g_log->set_level(level_of(verbosity == 1 ? Level::debug : Level::trace));
}

bool is_on(Level level) noexcept { return g_log != nullptr && g_log->should_log(level_of(level)); }

void write(Level level, const std::string& line) {
  if (g_log != nullptr) g_log->log(level_of(level), utf8::printable(line));
}

Step::~Step() {
  if (!is_on(Level::debug)) return;
  const std::chrono::duration<double, std::milli> took = Clock::now() - start_;
  write(Level::debug, fmt::format("time: {}: {:.1f} ms", what_, took.count()));
}

}  // namespace vramtrack::log
