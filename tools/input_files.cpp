#include "tools/input_files.hpp"

#include <filesystem>
#include <map>
#include <stdexcept>

namespace vramtrack::tools {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> files_of(const std::string& folder, bool reports) {
  std::map<std::string, std::string> by_process;  // name without extension -> path
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    const std::string stem = path.stem().string();
    if (!stem.starts_with("vramtrack-") || stem.find(".oom-") != std::string::npos) continue;
    if (path.extension() == (reports ? ".json" : ".vtrace")) by_process[stem] = path.string();
    if (path.extension() == (reports ? ".vtrace" : ".json")) by_process.emplace(stem, path.string());
  }
  if (by_process.empty()) {
    throw std::runtime_error(folder +
                             ": no trace or report (vramtrack-PID.vtrace, .json) in this folder; give the "
                             "folder that `vramtrack run -o` wrote");
  }
  std::vector<std::string> files;
  for (auto& [stem, path] : by_process) files.push_back(std::move(path));
  return files;
}

}  // namespace

std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs, bool reports) {
  std::vector<std::string> files;
  for (const std::string& input : inputs) {
    std::error_code ignored;
    if (!fs::is_directory(input, ignored)) {
      files.push_back(input);
      continue;
    }
    for (std::string& file : files_of(input, reports)) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace vramtrack::tools
