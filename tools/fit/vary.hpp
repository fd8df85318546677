// The value that `vramtrack fit --vary` changes from run to run, and its ways into the program.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace vramtrack::tools::fit {

using Value = std::int64_t;

struct Vary {
  enum class Way { none, argument, environment, file };
  Way way = Way::none;
  std::string name;  // BATCH; of a file: its path as the user wrote it
  std::string key;   // of a file: train.batch_size
  Value low = 0, high = 0, step = 1;

  std::size_t count() const { return way == Way::none ? 1 : static_cast<std::size_t>((high - low) / step) + 1; }
  Value at(std::size_t index) const { return low + static_cast<Value>(index) * step; }
  std::string label() const { return way == Way::file ? key : name; }
};

/// `NAME=LO..HI`, `env:NAME=LO..HI`, `FILE.json:KEY=LO..HI`, each with `:STEP` behind it. Throws UsageError, also for a
/// command in which the value has no place.
Vary parse_vary(const std::string& text, const std::vector<std::string>& command);

struct Prepared {
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;
};

/// The command of one run. A changed copy of the JSON file is written into `folder`. Throws when the file cannot be
/// read, or has no such key.
Prepared prepare(const Vary& vary, Value value, const std::vector<std::string>& command,
                 const std::filesystem::path& folder);

}  // namespace vramtrack::tools::fit
