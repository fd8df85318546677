#include "tools/input_files.hpp"

#include <filesystem>
#include <map>
#include <stdexcept>

#include "tools/proc_files.hpp"

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

std::optional<pid_t> process_number(const std::string& input) {
  std::error_code ignored;
  if (input.empty() || input.size() > 9 || input.find_first_not_of("0123456789") != std::string::npos ||
      fs::exists(input, ignored))
    return {};
  return static_cast<pid_t>(std::stol(input));
}

std::vector<std::string> traces_of(pid_t root) {
  if (!process_info(root))
    throw std::runtime_error("no process " + std::to_string(root) + "; `vramtrack ps` lists them");
  std::vector<std::string> traces;
  for (const pid_t pid : process_tree(root)) {
    for (std::string& trace : mapped_files(pid, ".vtrace")) traces.push_back(std::move(trace));
  }
  if (traces.empty()) {
    throw std::runtime_error("process " + std::to_string(root) +
                             " has no trace: it was not started with `vramtrack run`, it has not used the GPU yet, or "
                             "it belongs to another user");
  }
  return traces;
}

}  // namespace vramtrack::tools
