// vramtrack explain: the page of a finding.
#include <ostream>

#include "report/findings/explanations.hpp"
#include "tools/command.hpp"

namespace vramtrack::tools {
namespace {

void list(std::ostream& out) {
  std::size_t width = 0;
  for (const findings::Explanation& one : findings::explanations()) width = std::max(width, one.code.size());
  for (const findings::Explanation& one : findings::explanations())
    out << one.code << std::string(width + 2 - one.code.size(), ' ') << one.subject << '\n';
}

}  // namespace

int cmd_explain(const Arguments& arguments) {
  CLI::App app{"Prints what a finding means: its cause, an example, how it is told, and what to do."};
  app.name("vramtrack explain");
  std::string code, output;
  app.add_option("CODE", code, "of the finding, such as growing-site; without it, the findings that there are");
  app.add_option("-o,--output", output, "where to write; default: standard output");
  parse(app, arguments);
  const findings::Explanation* const found = findings::explanation(code);
  if (!code.empty() && found == nullptr) {
    std::vector<std::string> codes;
    for (const findings::Explanation& one : findings::explanations()) codes.push_back(one.code);
    const std::string near = nearest(code, codes);
    throw UsageError("no finding is called " + code + (near.empty() ? "" : "; did you mean " + near + "?") +
                     " (`vramtrack explain` lists them)");
  }
  write_output(output, [&](std::ostream& out) { found == nullptr ? list(out) : void(out << found->text); });
  return 0;
}

}  // namespace vramtrack::tools
