// vramtrack snapshot: a report of a running process, kept as JSON.
#include <ctime>
#include <iostream>

#include "report/load/load.hpp"
#include "report/render/render.hpp"
#include "tools/command.hpp"
#include "tools/formats.hpp"
#include "tools/input_files.hpp"

namespace vramtrack::tools {

int cmd_snapshot(const Arguments& arguments) {
  std::string target, output;
  AnalyseOptions analyse = analyse_options();
  CLI::App app("Keeps a report of what a running process holds now.", "vramtrack snapshot");
  app.add_option("PID", target, "a process that was started with `vramtrack run`")->required();
  app.add_option("-o,--output", output, "file to write (default: vramtrack-PID.live.json; - for standard output)");
  app.add_option("--max-allocations", analyse.max_allocations, "live blocks listed one by one")->capture_default_str();
  parse(app, arguments);
  const auto pid = process_number(target);
  if (!pid) throw UsageError("PID " + target + ": not the number of a process; `vramtrack ps` lists them");
  analyse.at = "live";
  const Report report = load(traces_of(*pid).front(), analyse);
  if (output.empty()) output = "vramtrack-" + target + ".live.json";
  write_output(output, [&](std::ostream& out) { render::json(report, out); });
  if (output != "-") std::cout << output << '\n';
  return 0;
}

}  // namespace vramtrack::tools
