// What a program's environment needs so that the loader puts us, and the simulated GPU, into it.
#pragma once

#include <filesystem>
#include <string>

#include "tools/run/options.hpp"

namespace vramtrack::tools {

/// What --sim needs: its variables, and a file that the run's processes share, so that all see one set of devices.
/// The file goes with the launcher; processes that outlive it keep what they have mapped.
class SimulatedDevices {
 public:
  /// Throws UsageError when `size` is none.
  explicit SimulatedDevices(const std::string& size);
  ~SimulatedDevices();
  SimulatedDevices(const SimulatedDevices&) = delete;
  SimulatedDevices& operator=(const SimulatedDevices&) = delete;

  /// Whether a process of the run looked at values that no kernel computed.
  bool unknown_values_were_read() const;

 private:
  std::filesystem::path state_;
};

/// Puts the libraries before what LD_PRELOAD holds already. Throws when they are not there or cannot be named in it.
void set_preload(bool traced, bool simulated);

/// Sets what makes a traced program load us, in this process's environment, which it is about to inherit. Throws as
/// set_preload does.
void set_run_environment(const RunOptions& options, const std::filesystem::path& folder, const std::string& run_id,
                         bool traced, bool simulated);

}  // namespace vramtrack::tools
