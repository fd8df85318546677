// One module whose weight, gradient and optimizer state together are most of what the model needs.
#include "report/findings/registry.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

constexpr Bytes least_bytes = Bytes{64} << 20;

}  // namespace

Findings large_layer(const Report& report) {
  const Json* noted = note(report, "modules");
  if (noted == nullptr || !noted->is_object() || !noted->contains("modules")) return {};
  const Json& modules = (*noted)["modules"];
  if (!modules.is_array() || modules.empty()) return {};
  const Json& top = modules[0];
  const auto weight = value<Bytes>(top, "w", 0), gradient = value<Bytes>(top, "g", 0),
             state = value<Bytes>(top, "x", 0);
  const Bytes bytes = weight + gradient + state;
  const auto total = value<Bytes>(*noted, "total", 0);
  if (bytes < least_bytes || bytes < total / 2 || bytes < peak_bytes(report) * 3 / 10) return {};

  const auto name = value<std::string>(top, "n", ""), kind = value<std::string>(top, "c", "");
  const auto in = value<std::int64_t>(top, "i", 0), out = value<std::int64_t>(top, "o", 0);
  std::string size;
  if (in > 0 && out > 0)
    size = std::to_string(in) + " x " + std::to_string(out);
  else if (top.contains("s") && top["s"].is_array())
    for (const Json& n : top["s"]) size += (size.empty() ? "" : " x ") + n.dump();
  Finding finding = make("large-layer", "info", "`" + name + "` (" + kind + ", " + size + ") is most of the model");
  const auto file = value<std::string>(top, "f", "");
  if (!file.empty()) finding.file = file;
  if (const int line = value<int>(top, "l", 0); line > 0) finding.line = line;
  finding.variable = name;
  finding.bytes = bytes;
  finding.message = "`" + name + "`, a " + kind + " of " + size + ", takes " + human_bytes(bytes) + " of the model's " +
                    human_bytes(total) + ": weight " + human_bytes(weight) + ", gradient " + human_bytes(gradient) +
                    ", optimizer state " + human_bytes(state) +
                    ". A linear layer needs memory for inputs times outputs, and that several times over in training.";
  finding.fix =
      "Make one side smaller, or put a narrow layer between (m x k and k x n instead of m x n), or share or "
      "factorise the weight.";
  finding.evidence = {{"weight_bytes", weight},
                      {"gradient_bytes", gradient},
                      {"optimizer_bytes", state},
                      {"model_bytes", total},
                      {"class", kind},
                      {"size", size}};
  return {finding};
}

}  // namespace vramtrack::findings
