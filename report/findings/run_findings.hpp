// Findings about a whole run, made by its launcher: what one process cannot say about itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack::findings {

/// A process of a run that outlived the run's command.
struct Leftover {
  std::int64_t pid = 0;
  std::string command;
  std::vector<std::string> devices;  // GPU device files that it has open, or "simulated"
};

/// Processes, other than the caller's, whose environment has VRAMTRACK_RUN_ID=run_id. Reads /proc; processes that the
/// user may not read are left out.
std::vector<Leftover> leftover_processes(const std::string& run_id);

/// `leftover-process` findings for those that hold a GPU: they have a device file open, or their report (from
/// `reports`, matched by pid) shows live device memory.
std::vector<Finding> run_findings(const std::vector<Leftover>& leftovers, const std::vector<Report>& reports);

/// Where a process of the run gave memory to another that keeps it: says so in the findings of both, and leaves the
/// warning to the one that can let it go.
void join_shared_memory(std::vector<Report>& reports);

/// Renews the `idle-context` findings of the reports, whose contexts' bytes are known by now, and returns those of the
/// run: what the processes other than `main_pid` say of themselves, joined by the line that made their contexts.
std::vector<Finding> tell_idle_contexts(std::vector<Report>& reports, std::int64_t main_pid);

}  // namespace vramtrack::findings
