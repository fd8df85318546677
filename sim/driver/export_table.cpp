// Tables of functions that are in no header, which a CUDA runtime asks the driver for that is linked into a program or
// into a library (cuDNN, CUPTI). They are not simulated: whoever asks is told.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "sim/driver/state.hpp"

namespace {

/// Compilers ask, too, and work without an answer.
bool needs_no_device(const std::string& library) {
  return library.starts_with("libnvrtc") || library.starts_with("libnvJitLink");
}

/// Once for each object that asks.
void say(const char* path) {
  static std::mutex& lock = *new std::mutex;
  static auto& said = *new std::vector<std::string>;
  const char* const slash = std::strrchr(path, '/');
  const std::string name = slash != nullptr ? slash + 1 : path;
  if (needs_no_device(name)) return;
  {
    const std::lock_guard guard(lock);
    if (std::find(said.begin(), said.end(), name) != said.end()) return;
    said.push_back(name);
  }
  const bool library = name.find(".so") != name.npos;
  char line[512];
  const int length =
      std::snprintf(line, sizeof line,
                    "vramtrack-sim: %.200s is not simulated: the CUDA runtime inside it does not accept the simulated "
                    "driver, and its "
                    "functions return errors%s\n",
                    name.c_str(), library ? "" : "; link the program with the shared runtime (nvcc -cudart shared)");
  if (length > 0) {
    const ssize_t written = write(STDERR_FILENO, line, std::min(static_cast<std::size_t>(length), sizeof line - 1));
    static_cast<void>(written);
  }
}

}  // namespace

extern "C" CUresult cuGetExportTable(const void** table, const CUuuid*) {
  const int saved_errno = errno;
  Dl_info info;
  const bool known = dladdr(__builtin_return_address(0), &info) != 0 && info.dli_fname != nullptr;
  say(known ? info.dli_fname : "a part of the program");
  errno = saved_errno;
  if (table != nullptr) *table = nullptr;
  return CUDA_ERROR_NOT_SUPPORTED;
}
