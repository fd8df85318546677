// vramtrack schema: what a JSON report may hold.
#include "report/model/schema.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools {

int cmd_schema(const Arguments& arguments) {
  CLI::App app{"Print the JSON Schema (2020-12) of the JSON report, every key with what it means."};
  app.name("vramtrack schema");
  std::string output;
  app.add_option("-o,--output", output, "where to write; default: standard output");
  parse(app, arguments);
  write_output(output, [](std::ostream& out) { out << report_schema().dump(2) << '\n'; });
  return 0;
}

}  // namespace vramtrack::tools
