// What a launcher must do to run a program on the simulated GPU: put the libraries of LIB_DIR/sim into LD_PRELOAD
// (behind libvramtrack.so, so that its definitions win) and set the environment that they read.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace vramtrack::sim {

/// The libraries as one LD_PRELOAD value: absolute paths joined by ':'. `lib_dir` is the folder that holds sim/.
/// Throws std::runtime_error when the simulated GPU is not installed there.
std::string sim_preload(const std::filesystem::path& lib_dir);

/// The environment of one run: (name, value) pairs to set. `size` is what the user wrote after --sim, "" for the
/// default. Throws std::invalid_argument with one sentence when it is not a size.
/// `state_file` (may be empty) is where the processes of the run share their figures; it need not exist.
std::vector<std::pair<std::string, std::string>> sim_environment(const std::string& size,
                                                                 const std::filesystem::path& state_file = {});

}  // namespace vramtrack::sim
