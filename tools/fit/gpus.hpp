// The devices that `vramtrack fit` is asked about: a size as after --sim=, or a GPU's name (gpus.def).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vramtrack::tools::fit {

struct Gpu {
  std::string asked;  // as the user wrote it
  std::string title;  // "GeForce RTX 4090 24GB"; "" for a size
  int devices = 1;
  std::uint64_t total_bytes = 0;    // of each
  std::uint64_t context_bytes = 0;  // what a process takes of it to begin with
  std::string source;               // where the figures of a named one are from

  std::uint64_t room() const { return total_bytes - context_bytes; }
  std::string sim() const;  // as after --sim=
};

/// Throws UsageError when it is neither, with the nearest name.
Gpu find_gpu(const std::string& text);

/// The names of the table, for help texts.
std::string gpu_names();

}  // namespace vramtrack::tools::fit
