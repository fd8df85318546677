// Turns the traces that one run leaves in its output folder into reports.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "contract/whereabouts.hpp"
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
  /// To be made before the run begins: the traces that are in the folder then belong to earlier runs. (Not told by
  /// their clocks: a traced program's may be another than ours.)
  Collector(std::filesystem::path folder, AnalyseOptions options);

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
    std::uint64_t started_ticks = 0;  // by the machine's clock: in order also where the time of day is not
    bool elsewhere = false;           // of a container or machine whose process ids are not ours
  };
  void scan();
  void tell_refused() const;
  void write_ooms(Seen& seen, std::uint32_t from, const ChildEnd* end);

  std::filesystem::path folder_;
  std::map<std::filesystem::path, std::uint64_t> older_;  // a trace of an earlier run, and its start by its clock
  std::map<std::filesystem::path, std::string> refused_, older_refused_;  // what is not looked at, and why
  const trace::Whereabouts here_ = trace::own_whereabouts();
  AnalyseOptions options_;
  std::filesystem::file_time_type folder_changed_;  // when scan() looked through it
  std::map<std::filesystem::path, Seen> seen_;
  std::map<std::filesystem::path, std::uint32_t> ooms_written_;
};

}  // namespace vramtrack::tools
