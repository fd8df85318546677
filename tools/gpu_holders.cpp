#include "tools/gpu_holders.hpp"

#include <signal.h>

#include <cerrno>
#include <map>

#include "contract/reader.hpp"
#include "contract/sim_settings.hpp"
#include "tools/nvml.hpp"

namespace vramtrack::tools {
namespace {

bool is_alive(pid_t pid) { return kill(pid, 0) == 0 || errno == EPERM; }

/// A process whose parent died belongs to init, or to whoever adopts orphans. That alone is no proof (services are
/// started that way): a traced process knows its first parent; any other counts as left behind when also the leader
/// of its process group, the command that a shell started, is gone.
std::string leftover_reason(const ProcessInfo& process, std::optional<pid_t> first_parent) {
  if (first_parent) {
    if (*first_parent <= 1 || process.ppid == *first_parent) return "";
    return "its parent, pid " + std::to_string(*first_parent) + ", has ended";
  }
  if (process.ppid != 1 || process.group == process.pid || process.group <= 1) return "";
  if (is_alive(process.group)) return "";
  return "its parent has ended, and so has pid " + std::to_string(process.group) + ", which started the job";
}

/// What the trace of a running process says: first parent, CUDA memory now.
void read_trace_of(GpuHolder& holder, std::optional<pid_t>& first_parent) {
  try {
    const trace::TraceFile trace = trace::read_trace(holder.trace);
    if (trace.header.pid != static_cast<std::uint32_t>(holder.process.pid)) {
      // A pid of another namespace (a container): the parent's pid would be one of there too.
    } else {
      first_parent = static_cast<pid_t>(trace.header.ppid);
    }
    std::uint64_t bytes = 0;
    for (const trace::Account& account : trace.accounts) {
      const bool sum = account.kind == static_cast<std::uint8_t>(trace::Kind::all);
      const bool cuda = account.layer == static_cast<std::uint8_t>(trace::Layer::cuda);
      if (account.used == 1 && cuda && sum && account.device >= 0) bytes += account.live_bytes;
    }
    if (!holder.bytes) holder.bytes = bytes;
  } catch (const trace::TraceError&) {
    holder.trace.clear();  // some other file of that name, or one being made
  }
}

}  // namespace

std::vector<GpuHolder> find_gpu_holders() {
  std::map<pid_t, GpuHolder> holders;
  for (const GpuUse& use : gpu_processes()) {
    GpuHolder& holder = holders[use.pid];
    holder.devices.push_back("gpu " + std::to_string(use.device));
    if (use.bytes) holder.bytes = holder.bytes.value_or(0) + *use.bytes;
  }
  for (const pid_t pid : all_pids()) {
    const std::vector<std::string> traces = mapped_files(pid, ".vtrace");
    std::vector<std::string> devices = open_devices(pid, "nvidia");
    // nvidiactl and nvidia-uvm alone are held by tools that only ask questions.
    std::erase_if(devices, [](const std::string& path) { return path.find_first_of("0123456789") == path.npos; });
    const bool simulated = maps_memory_file(pid, sim::memory_file);
    if (traces.empty() && devices.empty() && !simulated) continue;
    GpuHolder& holder = holders[pid];
    if (!traces.empty()) holder.trace = traces.front();
    if (holder.devices.empty()) holder.devices = std::move(devices);
    if (simulated) holder.devices.push_back("simulated");
  }
  std::vector<GpuHolder> list;
  for (auto& [pid, holder] : holders) {
    const std::optional<ProcessInfo> info = process_info(pid);
    holder.visible = info.has_value();
    holder.process = info.value_or(ProcessInfo{});
    holder.process.pid = pid;
    std::optional<pid_t> first_parent;
    if (!holder.trace.empty()) read_trace_of(holder, first_parent);
    if (holder.visible) holder.leftover = leftover_reason(holder.process, first_parent);
    list.push_back(std::move(holder));
  }
  return list;
}

}  // namespace vramtrack::tools
