// vramtrack dump: the trace as text lines, one record a line.
#include "interpose/trace/dump.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools {

int cmd_dump(const Arguments& arguments) {
  CLI::App app{"Write a trace as text lines, one record a line, in a stable order."};
  app.name("vramtrack dump");
  std::string input, output;
  app.add_option("FILE", input, "a .vtrace file (also of a running process)")->required();
  app.add_option("-o,--output", output, "where to write; default: standard output");
  parse(app, arguments);
  const trace::TraceFile file = trace::read_trace(input);
  write_output(output, [&](std::ostream& out) { trace::dump(file, out); });
  return 0;
}

}  // namespace vramtrack::tools
