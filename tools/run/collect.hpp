// Turns the traces that one run leaves in its output folder into reports.
#pragma once

#include <filesystem>
#include <map>
#include <vector>

#include "report/findings/run_findings.hpp"
#include "report/load/load.hpp"
#include "tools/run/child.hpp"

namespace vramtrack::tools {

struct Collected {
  Report report;
  std::filesystem::path path;  // of the JSON report
};

/// --fail-on-leak: the exit code of a program that leaks, whether one does, and what is said then.
inline constexpr int exit_leak = 77;
bool leaks(const Report& report, std::uint64_t at_least);
std::string leak_message(std::uint64_t at_least);

class Collector {
 public:
  /// `started_ns`: CLOCK_REALTIME when the run began; older traces in the folder belong to earlier runs.
  Collector(std::filesystem::path folder, std::uint64_t started_ns, AnalyseOptions options);

  /// While the program runs: writes the report of every out-of-memory event that has happened since the last call.
  void poll();

  /// After the end: writes every report of the run, processes in order of their start. `end` is the main child's;
  /// `leftovers` still run, and are told in the main child's report (the first one, when it has none).
  /// A trace that cannot be read costs one line on stderr, not the others.
  std::vector<Collected> finish(const ChildEnd& end, const std::vector<findings::Leftover>& leftovers);

 private:
  struct Seen {
    std::filesystem::path trace;
    std::uint32_t ooms = 0;
    std::uint64_t started_ns = 0;
  };
  void scan();
  void write_ooms(Seen& seen, std::uint32_t from, const ChildEnd* end);

  std::filesystem::path folder_;
  std::uint64_t started_ns_;
  AnalyseOptions options_;
  std::filesystem::file_time_type folder_changed_;  // when scan() looked through it
  std::map<std::filesystem::path, Seen> seen_;
  std::map<std::filesystem::path, std::uint32_t> ooms_written_;
};

}  // namespace vramtrack::tools
