// vramtrack dump: the trace as text lines, one record a line.
#include "report/render/dump.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools {

int cmd_dump(const Arguments& arguments) {
  CLI::App app{"Writes a trace as text, one record per line, in a stable order."};
  app.name("vramtrack dump");
  std::string input, output;
  app.add_option("FILE", input, "a .vtrace file (also of a running process)")->required();
  app.add_option("-o,--output", output, "where to write; default: standard output");
  bool history = false;
  app.add_flag("--history", history, "also every event, of a trace that was recorded with --history");
  parse(app, arguments);
  const trace::TraceFile file = trace::read_trace(input);
  write_output(output, [&](std::ostream& out) {
    trace::dump(file, out);
    if (!history) return;
    trace::HistoryReader events(input);
    trace::dump_history(file, events, out);
  });
  return 0;
}

}  // namespace vramtrack::tools
