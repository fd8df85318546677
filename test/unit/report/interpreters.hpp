// The CPython interpreters of this machine, 3.9 to 3.14: those of VRAMTRACK_PYTHONS (paths separated by colons), and
// those on PATH and in pyenv's folder.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace vramtrack::test {

inline std::vector<std::string> interpreters() {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  std::error_code ignored;
  const auto add = [&](const fs::path& path) {
    if (!fs::exists(path, ignored) || path.parent_path().filename() == "shims") return;  // pyenv's may lead nowhere
    const std::string real = fs::canonical(path, ignored).string();
    if (std::find(found.begin(), found.end(), real) == found.end()) found.push_back(real);
  };
  const char* named = std::getenv("VRAMTRACK_PYTHONS");
  for (std::string rest = named != nullptr ? named : ""; !rest.empty();) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) add(rest.substr(0, end));
    rest.erase(0, end + 1);
  }
  const char* pyenv = std::getenv("PYENV_ROOT");
  const char* home = std::getenv("HOME");
  const fs::path versions = fs::path(pyenv != nullptr ? pyenv : std::string(home != nullptr ? home : "") + "/.pyenv");
  for (const auto& entry : fs::directory_iterator(versions / "versions", ignored)) {
    for (int minor = 9; minor <= 14; ++minor) add(entry.path() / "bin" / ("python3." + std::to_string(minor)));
  }
  const char* path = std::getenv("PATH");
  for (std::string rest = path != nullptr ? path : ""; !rest.empty();) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    for (int minor = 9; minor <= 14; ++minor) add(fs::path(rest.substr(0, end)) / ("python3." + std::to_string(minor)));
    rest.erase(0, end + 1);
  }
  return found;
}

/// What `command` prints.
inline std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return text;
  char buffer[65536];
  for (std::size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  return pclose(pipe) == 0 ? text : std::string();
}

}  // namespace vramtrack::test
