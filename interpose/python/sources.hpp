// The agent's Python files as text, made by CMake from vramtrack_agent/*.py.
#pragma once

#include <cstddef>
#include <string_view>

namespace vramtrack::agent {

struct Source {
  std::string_view name;  // "liveness"
  const char* text;       // zero-terminated
  std::size_t bytes;
};

/// The file of that name, or nullptr.
const Source* find_source(std::string_view name) noexcept;

}  // namespace vramtrack::agent
