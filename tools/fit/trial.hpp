// One run of the program on the simulated GPU, ended after some steps, and what its traces say of the peak.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "report/model/model.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools::fit {

struct TrialRequest {
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> environment;  // beside ours
  std::string sim;                                               // devices, as after --sim=
  std::uint64_t context_bytes = 0;
  std::uint64_t steps = 3;
  std::chrono::seconds deadline{600};
  bool compute = false;          // --sim-compute
  std::filesystem::path folder;  // empty, of this run alone
};

/// Figures are those of the process and device that held most; used_bytes those of the device that was fullest.
struct Trial {
  bool out_of_memory = false;  // the figures are then those up to that moment
  std::uint32_t steps = 0;
  bool trains = false;            // a backward pass was seen, or a step of an optimizer
  bool rising = false;            // the last step made the peak, after two others
  Bytes peak_live_bytes = 0;      // of tensors; of all memory in a program without a caching allocator
  Bytes peak_reserved_bytes = 0;  // by the caching allocator
  Bytes used_bytes = 0;           // of the device, at most, without the context
  Bytes needed_bytes = 0;         // the same with what tensors held in place of what was reserved for them
  std::map<std::string, std::pair<Bytes, std::uint64_t>> roles;  // of the peak: bytes, blocks
};

/// The program failed, and not for want of memory; what() says how, with the last lines that it wrote.
struct TrialFailed : ErrorWithLines {
  using ErrorWithLines::ErrorWithLines;
};

/// Throws TrialFailed, Interrupted.
Trial run_trial(const TrialRequest& request);

}  // namespace vramtrack::tools::fit
