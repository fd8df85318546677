// vramtrack diff: two traces or reports, compared call site by call site.
#include <unistd.h>

#include "report/compare/diff.hpp"
#include "report/load/load.hpp"
#include "tools/command.hpp"
#include "tools/formats.hpp"

namespace vramtrack::tools {
namespace {

DiffBy parse_by(const std::string& name) {
  for (const DiffBy by : {DiffBy::live, DiffBy::peak, DiffBy::allocated}) {
    if (name == to_string(by)) return by;
  }
  throw UsageError("--by " + name + ": choose live, peak or allocated");
}

}  // namespace

int cmd_diff(const Arguments& arguments) {
  std::string a_path, b_path, output, format = "text", at = "exit", by = "live", limit;
  std::size_t top = 20;
  CLI::App app("Compares two traces or reports: call sites that appeared, grew, shrank or disappeared.",
               "vramtrack diff");
  app.add_option("A", a_path, "trace or report before")->required();
  app.add_option("B", b_path, "trace or report after")->required();
  app.add_option("--format", format, "text, json or html")->check(CLI::IsMember({"text", "json", "html"}));
  app.add_option("--at", at, "moment of a trace: exit, peak, live, oom or oom:N")->capture_default_str();
  app.add_option("--by", by, "what to compare: live, peak or allocated bytes")->capture_default_str();
  app.add_option("--fail-if-grew", limit, "exit with 1 when a layer's sum or a call site grew by SIZE or more");
  app.add_option("--top", top, "text: call sites shown")->capture_default_str();
  app.add_option("-o,--output", output, "file to write (default: standard output)");
  parse(app, arguments);
  AnalyseOptions options = analyse_options();
  parse_at(at, options);
  options.max_allocations = 0;  // blocks are not compared
  const Bytes most = limit.empty() ? 0 : parse_size(limit, "--fail-if-grew");
  const DiffBy compared = parse_by(by);
  const Report a = load(a_path, options), b = load(b_path, options);
  const Diff diff = compare(a, b, compared);
  write_output(output, [&](std::ostream& out) {
    if (format == "json") return render::diff_json(diff, out);
    if (format == "html") return render::diff_html(diff, out);
    const render::TextOptions terminal = text_options(STDOUT_FILENO);
    const bool to_terminal = output.empty() || output == "-";
    render::diff_text(diff, out, {to_terminal && terminal.colour, terminal.width, top});
  });
  if (!limit.empty()) {
    if (const std::string growth = describe_growth(diff, most); !growth.empty()) {
      throw std::runtime_error(b_path + ": " + growth + " (--fail-if-grew " + limit + ")");
    }
  }
  return 0;
}

}  // namespace vramtrack::tools
