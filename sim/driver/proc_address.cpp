// cuGetProcAddress: which exported function a base name means for a given CUDA version and default-stream flag.
#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "sim/driver/state.hpp"

using namespace vramtrack::sim;

// Addresses only: the functions' types do not matter here, and most are generated stubs.
#define ENTRY(base, version, exported) \
  extern "C" char sim_address_of_##exported[] asm(#exported) __attribute__((visibility("protected")));
#define ENTRY_PER_THREAD ENTRY
#include "sim/names/cuda_versions.def"
#undef ENTRY
#undef ENTRY_PER_THREAD

namespace {

struct Version {
  int version;
  bool per_thread;
  void* address;
};

const std::unordered_map<std::string_view, std::vector<Version>>& table() {
  static const auto& all = *new std::unordered_map<std::string_view, std::vector<Version>>([] {
    std::unordered_map<std::string_view, std::vector<Version>> made;
#define ENTRY(base, version, exported) made[#base].push_back({version, false, sim_address_of_##exported});
#define ENTRY_PER_THREAD(base, version, exported) made[#base].push_back({version, true, sim_address_of_##exported});
#include "sim/names/cuda_versions.def"
    return made;
  }());
  return all;
}

CUresult look_up(const char* name, void** out, int version, cuuint64_t flags, CUdriverProcAddressQueryResult& status) {
  status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  if (name == nullptr || out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if ((flags & ~cuuint64_t{CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM}) != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = nullptr;
  const auto found = table().find(name);
  if (found == table().end()) return CUDA_ERROR_NOT_FOUND;
  const bool per_thread = (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0;
  const Version* best = nullptr;
  for (const Version& candidate : found->second) {
    if (candidate.version > version || (candidate.per_thread && !per_thread)) continue;
    // Prefer the asked-for kind of default stream, then the newest that is not newer than asked for.
    if (best == nullptr || candidate.per_thread > best->per_thread ||
        (candidate.per_thread == best->per_thread && candidate.version > best->version)) {
      best = &candidate;
    }
  }
  if (best == nullptr) {
    status = CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT;
    return CUDA_ERROR_NOT_FOUND;
  }
  status = CU_GET_PROC_ADDRESS_SUCCESS;
  *out = best->address;
  return CUDA_SUCCESS;
}

}  // namespace

extern "C" {

CUresult cuGetProcAddress(const char* name, void** out, int version, cuuint64_t flags) {
  CUdriverProcAddressQueryResult status;
  return look_up(name, out, version, flags, status);
}

CUresult cuGetProcAddress_v2(const char* name, void** out, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult* status) {
  CUdriverProcAddressQueryResult own;
  return look_up(name, out, version, flags, status != nullptr ? *status : own);
}
}
