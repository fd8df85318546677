#include "tools/replay/allocator.hpp"

#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

#include "contract/sim_settings.hpp"
#include "tools/command.hpp"
#include "tools/replay/script.hpp"
#include "tools/run/environment.hpp"
#include "tools/run/quiet_child.hpp"
#include "tools/run/simulated.hpp"

namespace vramtrack::tools::replay {
namespace {

void set_environment(const Request& request) {
  set_preload(false, true);
  for (const auto& [name, value] :
       sim::sim_environment(std::to_string(request.device_bytes), request.folder / "devices"))
    setenv(name.c_str(), value.c_str(), 1);
  setenv(sim::context_variable, std::to_string(request.context_bytes).c_str(), 1);
  // PyTorch reads the newer name first; versions that do not know it read the older one.
  for (const char* name : {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"}) {
    unsetenv(name);
    if (!request.settings.empty()) setenv(name, request.settings.c_str(), 1);
  }
  unsetenv("PYTORCH_NO_CUDA_MEMORY_CACHING");
  unsetenv("CUDA_VISIBLE_DEVICES");
}

}  // namespace

nlohmann::ordered_json run(const Request& request) {
  const std::filesystem::path result = request.folder / "result.json", messages = request.folder / "stderr";
  const QuietEnd end = run_quietly({{request.python, "-c", script, request.events.string(), result.string(),
                                     request.as_recorded ? "bytes" : "likely"},
                                    [&] { set_environment(request); },
                                    messages,
                                    std::chrono::hours(24)});
  std::ifstream file(result, std::ios::binary);
  if (!WIFEXITED(end.status) || WEXITSTATUS(end.status) != 0 || !file) {
    std::string lines = last_lines(messages);
    throw ErrorWithLines("the allocator could not be run with " +
                             (request.settings.empty() ? "default settings" : request.settings) + " in " +
                             request.python + (lines.empty() ? "" : "; what it wrote:"),
                         std::move(lines));
  }
  return nlohmann::ordered_json::parse(file);
}

}  // namespace vramtrack::tools::replay
