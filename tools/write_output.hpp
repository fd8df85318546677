// write_output(): to a file, by rename, to a device or pipe, or to stdout. Part of command.hpp.
#pragma once

#include <iostream>

#include "report/support/files.hpp"

namespace vramtrack::tools {

template <typename Write>
void write_output(const std::string& path, Write write) {
  if (path.empty() || path == "-" || path == "/dev/stdout") {
    write(std::cout);
    std::cout.flush();
    if (!std::cout) throw std::runtime_error("cannot write to standard output");
    return;
  }
  // What the user named and is no file (/dev/null, a pipe) must not be renamed over.
  std::error_code ignored;
  const bool special = std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored);
  if (special)
    files::write_device(path, write);
  else
    files::replace_file(path, write);
}

}  // namespace vramtrack::tools
