// vramtrack merge: the traces or reports of many processes in one report. One input is in memory at a time.

#include "report/compare/merge.hpp"
#include "report/load/load.hpp"
#include "report/support/units.hpp"
#include "report/support/utf8.hpp"
#include "tools/command.hpp"
#include "tools/formats.hpp"
#include "tools/input_files.hpp"

namespace vramtrack::tools {
namespace {

void summarise(const Report& merged, std::size_t skipped, std::ostream& out) {
  out << "merged " << merged.ranks.members.size() << (merged.ranks.members.size() == 1 ? " process, " : " processes, ")
      << plural(merged.ranks.names.size(), "rank");
  if (skipped > 0) out << " (" << plural(skipped, "input") << " skipped)";
  out << '\n';
  for (const Total& total : merged.totals) {
    if (total.live_bytes == 0 && total.peak_bytes == 0) continue;
    out << "  " << total.layer << ' ' << total.kind << " on "
        << (total.device < 0 ? "host" : "cuda:" + std::to_string(total.device)) << ": live "
        << human_bytes(total.live_bytes) << ", peaks " << human_bytes(total.peak_bytes) << '\n';
  }
  for (const Finding& finding : merged.findings) {
    if (finding.severity == "info") continue;
    out << "  " << finding.code << ": " << utf8::printable(finding.title);
    const auto ranks = finding.evidence.find("ranks");
    if (ranks != finding.evidence.end() && merged.ranks.names.size() > 1) {
      out << " (in " << plural(ranks->size(), "rank") << ')';
    }
    out << '\n';
  }
  out << (merged.ranks.outlier ? merged.ranks.outlier->message : "no rank stands out") << '\n';
}

}  // namespace

int cmd_merge(const Arguments& arguments) {
  std::vector<std::string> inputs;
  std::string output, at = "exit";
  bool skip = false;
  CLI::App app("Joins the traces or reports of many processes into one report and names the rank that differs.",
               "vramtrack merge");
  app.add_option("INPUT", inputs, "traces, reports, or folders that hold them")->required();
  app.add_option("-o,--output", output, "file to write (default: standard output)");
  app.add_option("--at", at, "moment of traces: exit, peak, live, oom or oom:N")->capture_default_str();
  app.add_flag("--skip-unreadable", skip, "leave out inputs that cannot be read, with a warning");
  parse(app, arguments);
  AnalyseOptions options = analyse_options();
  parse_at(at, options);
  options.max_allocations = 0;
  Merger merger;
  std::size_t skipped = 0;
  for (const std::string& input : expand_inputs(inputs, at == "exit")) {
    try {
      merger.add(load(input, options), input);
    } catch (const std::exception& error) {
      if (!skip) throw;
      std::cerr << "warning: " << error.what() << '\n';
      ++skipped;
    }
  }
  if (merger.size() == 0) throw std::runtime_error("nothing to merge: no trace or report among the inputs");
  const Report merged = merger.finish();
  write_output(output, [&](std::ostream& out) { render::json(merged, out); });
  if (!output.empty() && output != "-") summarise(merged, skipped, std::cout);
  return 0;
}

}  // namespace vramtrack::tools
