// What the user asked for with --sim=SIZE or the environment: how many devices, how large.
// Used by the launcher (to refuse a bad size early) and by the simulated driver (in the traced process).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "contract/option_parse.hpp"

namespace vramtrack::sim {

struct Settings {
  int devices = 1;
  std::uint64_t device_bytes = 80ull << 30;
  std::uint64_t context_bytes = 0;  // what a context takes of its device
};

inline constexpr int max_devices = 16;
/// Of the memory file of a process's devices, made by its first call of CUDA: "/memfd:NAME" in /proc/PID/maps.
inline constexpr const char* memory_file = "vramtrack-sim";
inline constexpr const char* size_variable = "VRAMTRACK_SIM";             // 80GiB, 2x24GiB, ...
inline constexpr const char* context_variable = "VRAMTRACK_SIM_CONTEXT";  // size of a context, for example 0 or 500MiB
inline constexpr const char* state_variable = "VRAMTRACK_SIM_STATE";      // file shared by the processes of one run
inline constexpr const char* world_variable = "VRAMTRACK_SIM_WORLD";      // ranks of which only one runs here, or 0
inline constexpr const char* nccl_timeout_variable = "VRAMTRACK_SIM_NCCL_TIMEOUT";  // seconds, of a rank that waits

/// Where the state file counts copies to the host of device memory that no copy, fill or computed operator wrote
/// (std::uint32_t): values that a kernel would have written on a GPU, and that read as zero here.
inline constexpr std::size_t unknown_reads_offset = 8;

/// "[Nx]SIZE" -> settings. On failure false, and `why` is one sentence.
bool parse_settings(std::string_view text, Settings& settings, std::string& why);

/// Whether this process plays one rank of many that are not there (--sim-world).
inline bool one_of_many() {
  const char* const text = std::getenv(world_variable);
  return text != nullptr && option::parse_flag(text);
}

/// What a context takes unless told otherwise: 1/64 of the device, at most 480 MiB, in whole 2 MiB pages.
std::uint64_t default_context_bytes(std::uint64_t device_bytes);

}  // namespace vramtrack::sim
