// One module whose weight, gradient and optimizer state together are most of what the model needs.
#include "contract/notes.hpp"
#include "report/findings/registry.hpp"
#include "report/model/fact_fields.hpp"
#include "report/model/sites.hpp"
#include "report/support/units.hpp"

namespace vramtrack::findings {
namespace {

namespace layer = fact::layer;

constexpr Bytes least_layer_bytes = Bytes{64} << 20;

}  // namespace

Findings large_layer(const Report& report) {
  const Json* noted = note(report, trace::note_key::modules);
  if (noted == nullptr) return {};
  const std::vector<const Json*> layers = get(*noted, fact::modules::modules);
  if (layers.empty()) return {};
  const Json& top = *layers.front();
  const Bytes weight = get(top, layer::w).value_or(0), gradient = get(top, layer::g).value_or(0),
              state = get(top, layer::x).value_or(0);
  const Bytes bytes = weight + gradient + state;
  const Bytes total = get(*noted, fact::modules::total).value_or(0);
  if (bytes < least_layer_bytes || bytes < total / 2 || bytes < peak_bytes(report) * 3 / 10) return {};

  const std::string name = get(top, layer::n).value_or(""), kind = get(top, layer::c).value_or("");
  const std::uint64_t in = get(top, layer::i).value_or(0), out = get(top, layer::o).value_or(0);
  std::string size;
  if (in > 0 && out > 0)
    size = std::to_string(in) + " x " + std::to_string(out);
  else
    for (const std::uint64_t n : get(top, layer::s)) size += (size.empty() ? "" : " x ") + std::to_string(n);
  Finding finding = make("large-layer", "info", "`" + name + "` (" + kind + ", " + size + ") is most of the model");
  if (std::string file = get(top, layer::f).value_or(""); !file.empty()) finding.file = std::move(file);
  if (const auto line = get(top, layer::l).value_or(0); line > 0) finding.line = static_cast<int>(line);
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
