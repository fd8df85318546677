// JAX looks for NVIDIA's device nodes before it asks the driver, finds none, and takes the CPU without a word. Who
// wanted to see a program on the simulated GPU is told, when it ends, that it was not there.
#include <link.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "sim/driver/state.hpp"

namespace {

int is_plugin(dl_phdr_info* info, std::size_t, void*) {
  return info->dlpi_name != nullptr &&
         (std::strstr(info->dlpi_name, "/jax_cuda") != nullptr || std::strstr(info->dlpi_name, "/xla_cuda") != nullptr);
}

[[gnu::destructor]] void tell() {
  const int saved_errno = errno;
  if (!vramtrack::sim::initialized() && dl_iterate_phdr(is_plugin, nullptr) != 0) {
    constexpr std::string_view line =
        "vramtrack-sim: JAX did not use the simulated GPU: it takes the CPU where there is no /dev/nvidia0; see JAX in "
        "docs/simulated-gpu.md\n";
    const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
    static_cast<void>(written);
  }
  errno = saved_errno;
}

}  // namespace
