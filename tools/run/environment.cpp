#include "tools/run/environment.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "contract/sim_settings.hpp"
#include "report/support/files.hpp"
#include "tools/command.hpp"
#include "tools/run/simulated.hpp"

namespace vramtrack::tools {

namespace fs = std::filesystem;
namespace {

/// AddressSanitizer's shared runtime refuses to start behind another preloaded library, unless told that it may.
void allow_preload_before_sanitizer() {
  const char* before = std::getenv("ASAN_OPTIONS");
  const std::string options = before == nullptr ? "" : before;
  if (options.find("verify_asan_link_order") == std::string::npos)
    setenv("ASAN_OPTIONS", (options + (options.empty() ? "" : ":") + "verify_asan_link_order=0").c_str(), 1);
}

/// What torchrun would have told the rank, on machines that have as many devices each as are simulated here.
void set_rank(const RunOptions& options) {
  sim::Settings settings;
  std::string why;
  sim::parse_settings(options.sim, settings, why);  // was accepted before
  const std::uint64_t ranks = options.sim_world, rank = options.sim_rank;
  const std::uint64_t here = std::min(ranks, static_cast<std::uint64_t>(settings.devices));
  const auto set = [](const char* name, std::uint64_t value) { setenv(name, std::to_string(value).c_str(), 1); };
  set(sim::world_variable, ranks);
  set("WORLD_SIZE", ranks);
  set("RANK", rank);
  set("LOCAL_WORLD_SIZE", here);
  set("LOCAL_RANK", rank % here);
  set("GROUP_WORLD_SIZE", (ranks + here - 1) / here);
  set("GROUP_RANK", rank / here);
  setenv("MASTER_ADDR", "localhost", 1);  // nobody is asked there
  setenv("MASTER_PORT", "29500", 1);
  // PyTorch's threads that look for news of other ranks would call Python for it, also while the interpreter ends.
  setenv("TORCH_NCCL_ENABLE_MONITORING", "0", 1);
  setenv("TORCH_NCCL_DUMP_ON_TIMEOUT", "0", 1);
}

}  // namespace

SimulatedDevices::SimulatedDevices(const std::string& size) {
  std::string state = files::temporary_folder() + "/vramtrack-sim-XXXXXX";
  const files::Descriptor file(mkostemp(state.data(), O_CLOEXEC));
  if (file)
    state_ = state;
  else
    std::cerr << "vramtrack: " << state << ": " << std::strerror(errno)
              << "; each process sees a simulated GPU of its own. Set TMPDIR to a folder that can be written\n";
  try {
    for (const auto& [name, value] : sim::sim_environment(size, state_)) setenv(name.c_str(), value.c_str(), 1);
  } catch (const std::invalid_argument& wrong) {
    std::error_code ignored;
    fs::remove(state_, ignored);
    throw UsageError(wrong.what());
  }
}

SimulatedDevices::~SimulatedDevices() {
  std::error_code error;
  fs::remove(state_, error);
}

bool SimulatedDevices::unknown_values_were_read() const {
  const files::Descriptor file = files::open_regular(state_.string());
  std::uint32_t count = 0;
  return pread(file.number(), &count, sizeof count, sim::unknown_reads_offset) == sizeof count && count != 0;
}

void set_preload(bool traced, bool simulated) {
  const fs::path libraries = library_folder();
  std::string preload;
  const auto add = [&](const std::string& paths) {
    if (!paths.empty()) preload += (preload.empty() ? "" : ":") + paths;
  };
  if (traced) {
    const fs::path library = libraries / "libvramtrack.so";
    if (!fs::exists(library))
      throw std::runtime_error(library.string() + ": not found; build or install vramtrack again");
    add(library.string());
  }
  if (simulated) {
    add(sim::sim_preload(libraries));
    // Triton asks the linker's cache for the driver, which knows nothing of ours.
    setenv("TRITON_LIBCUDA_PATH", fs::absolute(libraries / "sim").lexically_normal().c_str(), 1);
  }
  if (preload.find(' ') != std::string::npos) {
    throw std::runtime_error(libraries.string() + ": LD_PRELOAD cannot hold a path with a space; install elsewhere");
  }
  if (const char* before = std::getenv("LD_PRELOAD"); before != nullptr) add(before);
  setenv("LD_PRELOAD", preload.c_str(), 1);
}

void set_run_environment(const RunOptions& options, const fs::path& folder, const std::string& run_id, bool traced,
                         bool simulated) {
  set_preload(traced, simulated);
  export_options(options);
  setenv("VRAMTRACK_OUT", folder.c_str(), 1);
  if (options.sim_compute) setenv("VRAMTRACK_SIM_COMPUTE", "1", 1);  // read by the simulated GPU
  if (options.sim_world != 0) set_rank(options);
  setenv("VRAMTRACK_LAUNCHED", "1", 1);
  allow_preload_before_sanitizer();
  setenv("VRAMTRACK_RUN_ID", run_id.c_str(), 1);
  // Programs that use NVTX 3 ask this library for its listener; one that is set belongs to another tool.
  if (traced) setenv("NVTX_INJECTION64_PATH", (library_folder() / "libvramtrack.so").c_str(), 0);
}

}  // namespace vramtrack::tools
