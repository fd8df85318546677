// The line of a Python instruction, from the code object's own line table as the trace carries it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace vramtrack {

struct PythonCode {
  std::uint32_t version = 0;  // major << 8 | minor
  int first_line = 0;
  std::span<const std::uint8_t> line_table;  // co_linetable (3.10 on) or co_lnotab (3.9)
};

/// `offset`: of the instruction, in bytes from the start of the code. Nothing when the instruction has no line (as for
/// some that the compiler made up) or the table is damaged before it.
std::optional<int> python_line(const PythonCode& code, std::uint32_t offset) noexcept;

}  // namespace vramtrack
