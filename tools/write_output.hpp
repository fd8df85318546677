// write_output(): to a file by rename, or to stdout. Part of command.hpp.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

namespace vramtrack::tools {

template <typename Write>
void write_output(const std::string& path, Write write) {
  if (path.empty() || path == "-") {
    write(std::cout);
    std::cout.flush();
    if (!std::cout) throw std::runtime_error("cannot write to standard output");
    return;
  }
  // A device or pipe (/dev/stdout, /dev/null) must not be renamed over.
  std::error_code ignored;
  const bool special = std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored);
  const std::string part = special ? path : path + ".part-" + std::to_string(getpid());
  const auto fail = [&](const char* what) {
    const std::string why = std::strerror(errno);
    if (!special) std::filesystem::remove(part, ignored);
    throw std::runtime_error(path + ": " + what + ": " + why + "; choose another place with -o");
  };
  std::ofstream out(part, std::ios::binary);
  if (!out) fail("cannot create");
  write(out);
  out.close();
  if (!out) fail("cannot write");
  if (!special && std::rename(part.c_str(), path.c_str()) != 0) fail("cannot replace");
}

}  // namespace vramtrack::tools
