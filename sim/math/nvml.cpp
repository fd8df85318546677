// NVML, the monitoring library: the simulated devices, what the processes of the run use of them, and little else.
// Without VRAMTRACK_SIM_STATE it knows only the process that it is loaded in.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "contract/sim_settings.hpp"
#include "sim/core/properties.hpp"
#include "sim/core/stats.h"
#include "sim/core/visible_devices.hpp"
#include "sim/driver/usage.hpp"

using namespace vramtrack::sim;

namespace {

enum Result { success = 0, uninitialized = 1, invalid_argument = 2, not_found = 6, insufficient_size = 7 };

struct State {
  bool ready = false;
  Settings settings;
  Usage usage;
};
State& state() {
  static State& all = *new State;
  return all;
}

/// Devices are handed out as index + 1.
int index_of(void* device) {
  const auto index = static_cast<int>(reinterpret_cast<std::uintptr_t>(device)) - 1;
  return state().ready && index >= 0 && index < state().settings.devices ? index : -1;
}

struct Process {
  unsigned pid;
  std::uint64_t used;
};

/// What this process uses, from the simulated driver if it is loaded here.
std::uint64_t own_usage(int index) {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  if (driver == nullptr) return 0;
  const auto stats = reinterpret_cast<decltype(&vramtrack_sim_stats)>(dlsym(driver, "vramtrack_sim_stats"));
  vramtrack_sim_figures figures{};
  figures.size = sizeof figures;
  const std::vector<int> visible = visible_devices(state().settings.devices);  // NVML itself shows all
  const auto at = std::find(visible.begin(), visible.end(), index);
  if (stats == nullptr || at == visible.end()) return 0;
  return stats(static_cast<int>(at - visible.begin()), &figures) == 0 ? figures.used_bytes : 0;
}

std::vector<Process> processes(int index) {
  std::vector<Process> found;
  if (state().usage.shared()) {
    state().usage.visit(index, [&](pid_t pid, std::uint64_t used) {
      if (used != 0) found.push_back({static_cast<unsigned>(pid), used});
    });
  } else if (const std::uint64_t used = own_usage(index); used != 0) {
    found.push_back({static_cast<unsigned>(getpid()), used});
  }
  return found;
}

/// Fills the caller's array of records whose first fields are a pid and, 8 bytes on, the used bytes.
template <std::size_t record_bytes>
int list_processes(void* device, unsigned* count, void* records) {
  const int index = index_of(device);
  if (index < 0 || count == nullptr) return invalid_argument;
  const auto found = processes(index);
  const bool fits = found.size() <= *count && records != nullptr;
  *count = static_cast<unsigned>(found.size());
  if (found.empty()) return success;
  if (!fits) return insufficient_size;
  for (std::size_t i = 0; i < found.size(); ++i) {
    char* record = static_cast<char*>(records) + i * record_bytes;
    std::memset(record, record_bytes > 16 ? 0xff : 0, record_bytes);  // no MIG instances
    std::memcpy(record, &found[i].pid, sizeof found[i].pid);
    std::memcpy(record + 8, &found[i].used, sizeof found[i].used);
  }
  return success;
}

int copy_text(const char* text, char* out, unsigned length) {
  if (out == nullptr) return invalid_argument;
  const std::size_t bytes = std::strlen(text) + 1;
  if (bytes > length) return insufficient_size;
  std::memcpy(out, text, bytes);
  return success;
}

int give_number(void* device, unsigned* out, unsigned number) {
  if (index_of(device) < 0 || out == nullptr) return invalid_argument;
  *out = number;
  return success;
}

}  // namespace

extern "C" {

int nvmlInit_v2(void) {
  State& all = state();
  if (all.ready) return success;
  const char* text = std::getenv(size_variable);
  std::string why;
  if (text != nullptr && *text != '\0' && !parse_settings(text, all.settings, why)) return not_found;
  all.usage.look();
  all.ready = true;
  return success;
}
int nvmlInit(void) { return nvmlInit_v2(); }
int nvmlInitWithFlags(unsigned) { return nvmlInit_v2(); }
int nvmlShutdown(void) { return success; }
const char* nvmlErrorString(int result) { return result == success ? "Success" : "Not Supported"; }

int nvmlSystemGetDriverVersion(char* out, unsigned length) { return copy_text("580.0.0", out, length); }
int nvmlSystemGetNVMLVersion(char* out, unsigned length) { return copy_text("13.580.0", out, length); }
int nvmlSystemGetCudaDriverVersion_v2(int* version) {
  if (version == nullptr) return invalid_argument;
  *version = driver_version;
  return success;
}
int nvmlSystemGetCudaDriverVersion(int* version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

int nvmlDeviceGetCount_v2(unsigned* count) {
  if (!state().ready) return uninitialized;
  if (count == nullptr) return invalid_argument;
  *count = static_cast<unsigned>(state().settings.devices);
  return success;
}
int nvmlDeviceGetCount(unsigned* count) { return nvmlDeviceGetCount_v2(count); }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** out) {
  if (!state().ready) return uninitialized;
  if (out == nullptr || index >= static_cast<unsigned>(state().settings.devices)) return invalid_argument;
  *out = reinterpret_cast<void*>(std::uintptr_t{index} + 1);
  return success;
}
int nvmlDeviceGetHandleByIndex(unsigned index, void** out) { return nvmlDeviceGetHandleByIndex_v2(index, out); }
int nvmlDeviceGetHandleByPciBusId_v2(const char* id, void** out) {
  unsigned domain = 0, bus = 0;
  if (id == nullptr || std::sscanf(id, "%x:%x:", &domain, &bus) != 2 || bus == 0) return invalid_argument;
  return nvmlDeviceGetHandleByIndex_v2(bus - 1, out) == success ? success : not_found;
}
int nvmlDeviceGetHandleByPciBusId(const char* id, void** out) { return nvmlDeviceGetHandleByPciBusId_v2(id, out); }
int nvmlDeviceGetIndex(void* device, unsigned* index) {
  if (index_of(device) < 0 || index == nullptr) return invalid_argument;
  *index = static_cast<unsigned>(index_of(device));
  return success;
}
int nvmlDeviceGetUUID(void* device, char* out, unsigned length) {
  return index_of(device) < 0 ? invalid_argument : copy_text(device_uuid_text(index_of(device)).c_str(), out, length);
}
int nvmlDeviceGetHandleByUUID(const char* uuid, void** out) {
  if (!state().ready) return uninitialized;
  if (uuid == nullptr) return invalid_argument;
  for (int index = 0; index < state().settings.devices; ++index)
    if (device_uuid_text(index) == uuid) return nvmlDeviceGetHandleByIndex_v2(static_cast<unsigned>(index), out);
  return not_found;
}
int nvmlDeviceGetName(void* device, char* out, unsigned length) {
  return index_of(device) < 0 ? invalid_argument : copy_text(device_name, out, length);
}
int nvmlDeviceGetCudaComputeCapability(void* device, int* major, int* minor) {
  if (index_of(device) < 0 || major == nullptr || minor == nullptr) return invalid_argument;
  *major = 9;
  *minor = 0;
  return success;
}
int nvmlDeviceGetUtilizationRates(void* device, unsigned* rates) {
  if (index_of(device) < 0 || rates == nullptr) return invalid_argument;
  rates[0] = rates[1] = 0;
  return success;
}
// Of an H100: generation 5, 16 lanes.
int nvmlDeviceGetCurrPcieLinkGeneration(void* device, unsigned* out) { return give_number(device, out, 5); }
int nvmlDeviceGetMaxPcieLinkGeneration(void* device, unsigned* out) { return give_number(device, out, 5); }
int nvmlDeviceGetCurrPcieLinkWidth(void* device, unsigned* out) { return give_number(device, out, 16); }
int nvmlDeviceGetMaxPcieLinkWidth(void* device, unsigned* out) { return give_number(device, out, 16); }

/// nvmlMemory_t: total, free, used
int nvmlDeviceGetMemoryInfo(void* device, unsigned long long* out) {
  const int index = index_of(device);
  if (index < 0 || out == nullptr) return invalid_argument;
  std::uint64_t used = 0;
  for (const Process& process : processes(index)) used += process.used;
  out[0] = state().settings.device_bytes;
  out[2] = used < out[0] ? used : out[0];
  out[1] = out[0] - out[2];
  return success;
}
/// nvmlMemory_v2_t: version, total, reserved, free, used
int nvmlDeviceGetMemoryInfo_v2(void* device, unsigned long long* out) {
  unsigned long long plain[3];
  if (out == nullptr) return invalid_argument;
  const int result = nvmlDeviceGetMemoryInfo(device, plain);
  if (result != success) return result;
  out[1] = plain[0];
  out[2] = 0;
  out[3] = plain[1];
  out[4] = plain[2];
  return success;
}

int nvmlDeviceGetComputeRunningProcesses(void* device, unsigned* count, void* out) {
  return list_processes<16>(device, count, out);
}
int nvmlDeviceGetComputeRunningProcesses_v2(void* device, unsigned* count, void* out) {
  return list_processes<24>(device, count, out);
}
int nvmlDeviceGetComputeRunningProcesses_v3(void* device, unsigned* count, void* out) {
  return list_processes<24>(device, count, out);
}
int nvmlDeviceGetGraphicsRunningProcesses_v2(void* device, unsigned* count, void*) {
  if (index_of(device) < 0 || count == nullptr) return invalid_argument;
  *count = 0;
  return success;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void* device, unsigned* count, void* out) {
  return nvmlDeviceGetGraphicsRunningProcesses_v2(device, count, out);
}
}
