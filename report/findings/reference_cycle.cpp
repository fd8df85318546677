// Tensors that only a cycle of Python references keeps alive: freed when the collector happens to run, not before.
// The agent computed it as the collector does: unreachable from every root, every reference accounted for.
#include "report/findings/registry.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr Bytes least_bytes = 1 << 20;
constexpr std::uint64_t least_tensors = 5;

}  // namespace

Findings reference_cycle(const Report& report) {
  const Json* cycles = note(report, "cycles");
  if (cycles == nullptr || !cycles->is_array()) return {};
  Findings found;
  for (const Json& cycle : *cycles) {
    const auto bytes = value<Bytes>(cycle, "b", 0);
    const auto tensors = value<std::uint64_t>(cycle, "n", 0);
    if (bytes < least_bytes && tensors < least_tensors) continue;
    const auto loop = value<std::string>(cycle, "loop", ""), way = value<std::string>(cycle, "way", "");
    Finding finding = make("reference-cycle", "warning", "A reference cycle keeps tensors alive");
    if (const auto file = value<std::string>(cycle, "f", ""); !file.empty()) finding.file = file;
    if (const int line = value<int>(cycle, "l", 0); line > 0) finding.line = line;
    finding.variable = value<std::string>(cycle, "v", way.empty() ? loop : way);
    finding.bytes = bytes;
    finding.message = plural(tensors, "tensor") + " of " + human_bytes(bytes) +
                      " can no longer be reached by the program, but objects that "
                      "refer to each other (" +
                      loop +
                      ") still hold them. Such memory is freed only when Python's garbage collector "
                      "runs, which counts objects, not GPU bytes.";
    finding.fix =
        "Break the cycle: make one of the references a weakref.ref, or set it to None when done. As a stopgap call "
        "gc.collect().";
    finding.evidence = {
        {"cycle", loop}, {"held_by", way}, {"tensors", tensors}, {"class", value<std::string>(cycle, "c", "")}};
    found.push_back(std::move(finding));
  }
  return found;
}

}  // namespace vramtrack::findings
