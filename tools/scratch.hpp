// A folder for the files of one command, gone with it.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "report/support/files.hpp"

namespace vramtrack::tools {

class Scratch {
 public:
  /// `purpose` is part of its name. Throws when there can be none.
  explicit Scratch(const std::string& purpose)
      : path_(files::temporary_folder() + "/vramtrack-" + purpose + "-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error(path_ + ": " + std::strerror(errno));
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace vramtrack::tools
