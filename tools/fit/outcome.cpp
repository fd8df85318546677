#include "tools/fit/outcome.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack::tools::fit {
namespace {

using Json = nlohmann::ordered_json;

/// Of the device, beside PyTorch's allocator and the context: worth a word from here on.
constexpr Bytes least_others = Bytes{1} << 20;

Bytes bytes_of(const Trial& trial, const std::string& role) {
  if (role.empty()) return trial.peak_live_bytes;
  const auto found = trial.roles.find(role);
  return found == trial.roles.end() ? 0 : found->second.first;
}

std::string name_of(const Gpu& gpu) { return gpu.title.empty() ? gpu.asked : gpu.asked + " (" + gpu.title + ")"; }

std::string words(const std::vector<std::string>& command) {
  return utf8::printable(utf8::sanitise(utf8::joined(command)));
}

std::string role_name(const std::string& role) {
  std::string text = role;
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

std::string law_text(const Law& law, const std::string& label) {
  std::string text = signed_bytes(law.constant);
  if (text.starts_with("+")) text.erase(0, 1);
  const std::string slope = signed_bytes(std::abs(law.slope));
  if (std::abs(law.slope) < 0.5) return text;
  return text + (law.slope < 0 ? " - " : " + ") + (slope.starts_with("+") ? slope.substr(1) : slope) + " x " + label;
}

/// "the largest BATCH is 37 (38 does not fit)", "fits", ...
std::string verdict(const GpuOutcome& gpu, const Vary& vary) {
  if (vary.way == Vary::Way::none) return gpu.fits ? "fits" : "does not fit";
  const std::string label = vary.label();
  if (!gpu.largest) return "not even " + label + "=" + std::to_string(vary.low) + " fits, the smallest value given";
  std::string text = label + "=" + std::to_string(*gpu.largest) + " fits";
  if (gpu.smallest_failing) return text + ", " + std::to_string(*gpu.smallest_failing) + " does not";
  return text + ", the largest value given";
}

std::string margin_text(const GpuOutcome& gpu) {
  const std::int64_t margin = gpu.margin();
  return margin >= 0 ? human_bytes(static_cast<Bytes>(margin)) + " to spare"
                     : human_bytes(static_cast<Bytes>(-margin)) + " too much";
}

Json law_json(const std::optional<Law>& law, Json object) {
  object["constant_bytes"] = law ? Json(std::llround(law->constant)) : Json();
  object["bytes_per_value"] = law ? Json(law->slope) : Json();
  return object;
}

Json to_json(const GpuOutcome& gpu, const Vary& vary) {
  const bool varies = vary.way != Vary::Way::none;
  Json out;
  out["gpu"] = gpu.gpu.asked;
  out["name"] = gpu.gpu.title.empty() ? Json() : Json(gpu.gpu.title);
  out["devices"] = gpu.gpu.devices;
  out["total_bytes"] = gpu.gpu.total_bytes;
  out["context_bytes"] = gpu.gpu.context_bytes;
  out["size_source"] = gpu.gpu.source.empty() ? Json() : Json(gpu.gpu.source);
  out["fits"] = gpu.fits;
  out["largest"] = gpu.largest ? Json(*gpu.largest) : Json();
  out["smallest_failing"] = gpu.smallest_failing ? Json(*gpu.smallest_failing) : Json();
  out["value"] = varies && gpu.value ? Json(*gpu.value) : Json();
  out["peak_live_bytes"] = gpu.figures ? Json(gpu.figures->peak_live_bytes) : Json();
  out["peak_reserved_bytes"] = gpu.figures ? Json(gpu.figures->peak_reserved_bytes) : Json();
  out["used_bytes"] = gpu.figures ? Json(gpu.figures->used_bytes + gpu.gpu.context_bytes) : Json();
  out["margin_bytes"] = gpu.figures ? Json(gpu.margin()) : Json();
  out["runs"] = gpu.runs;
  out["peak_live_law"] = gpu.live_law ? law_json(gpu.live_law, Json::object()) : Json();
  out["breakdown"] = Json::array();
  for (const Part& part : gpu.parts)
    out["breakdown"].push_back(
        law_json(part.law, {{"role", part.role}, {"bytes", part.bytes}, {"blocks", part.blocks}}));
  return out;
}

}  // namespace

std::int64_t GpuOutcome::margin() const {
  if (!figures) return 0;
  const auto left = static_cast<std::int64_t>(gpu.room()) - static_cast<std::int64_t>(figures->used_bytes);
  return fits ? std::max<std::int64_t>(left, 0) : left;
}

/// Whether both peaks are in the same place of the step, as far as one can see: no role of it is less for the larger
/// value.
bool are_alike(const Trial& smaller, const Trial& larger) {
  const Bytes slack = larger.peak_live_bytes / 50;
  return std::all_of(smaller.roles.begin(), smaller.roles.end(),
                     [&](const auto& role) { return role.second.first <= bytes_of(larger, role.first) + slack; });
}

const std::pair<const Value, Trial>* comparable(const Outcome& outcome, Value value, const Trial& trial) {
  const std::pair<const Value, Trial>* nearest = nullptr;
  for (const auto& one : outcome.measured) {
    const Value distance = std::abs(one.first - value);
    if (distance == 0 || 8 * distance < value) continue;  // beside it, the allocator's rounding is all that differs
    if (!(one.first < value ? are_alike(one.second, trial) : are_alike(trial, one.second))) continue;
    if (nearest == nullptr || distance < std::abs(nearest->first - value)) nearest = &one;
  }
  return nearest;
}

std::optional<Law> law_of(const Outcome& outcome, Value value, const Trial& trial, const std::string& role) {
  const auto* const other = comparable(outcome, value, trial);
  if (other == nullptr) return std::nullopt;
  const auto here = static_cast<double>(bytes_of(trial, role));
  // A peak in the first step has no state of the optimizer, whatever the value.
  if (bytes_of(other->second, role) == 0 && (role == "gradient" || role == "optimizer_state")) return Law{here, 0};
  const double slope =
      (here - static_cast<double>(bytes_of(other->second, role))) / static_cast<double>(value - other->first);
  return Law{here - slope * static_cast<double>(value), slope};
}

void text(const Outcome& outcome, std::ostream& out) {
  out << "vramtrack fit  " << words(outcome.command) << "   " << outcome.runs << (outcome.runs == 1 ? " run" : " runs")
      << " on the simulated GPU\n";
  for (const GpuOutcome& gpu : outcome.gpus) {
    out << "\n"
        << name_of(gpu.gpu) << "   " << human_bytes(gpu.gpu.total_bytes) << (gpu.gpu.devices > 1 ? " each" : "")
        << "   " << verdict(gpu, outcome.vary) << '\n';
    if (!gpu.figures) continue;
    const bool varies = outcome.vary.way != Vary::Way::none;
    out << "  ";
    if (varies) out << outcome.vary.label() << "=" << *gpu.value << ": ";
    out << "peak live " << human_bytes(gpu.figures->peak_live_bytes) << ", reserved "
        << human_bytes(gpu.figures->peak_reserved_bytes) << ", context " << human_bytes(gpu.gpu.context_bytes);
    if (const Bytes others = gpu.figures->used_bytes - gpu.figures->peak_reserved_bytes; others >= least_others)
      out << ", others " << human_bytes(others);
    out << ": " << margin_text(gpu) << '\n';
    if (gpu.live_law) out << "  peak live = " << law_text(*gpu.live_law, outcome.vary.label()) << '\n';
    for (const Part& part : gpu.parts) {
      out << "  " << std::setw(11) << table_bytes(part.bytes) << "  " << std::left << std::setw(16)
          << role_name(part.role) << std::right;
      if (part.law) out << "  = " << law_text(*part.law, outcome.vary.label());
      out << '\n';
    }
  }
  if (!outcome.notes.empty()) out << '\n';
  for (const std::string& note : outcome.notes) out << "note: " << note << '\n';
}

void json(const Outcome& outcome, std::ostream& out) {
  Json document;
  document["schema"] = "vramtrack-fit/1";
  document["vramtrack_version"] = VRAMTRACK_VERSION;
  document["command"] = Json::array();
  for (const std::string& word : outcome.command) document["command"].push_back(utf8::sanitise(word));
  const Vary& vary = outcome.vary;
  static constexpr const char* ways[] = {"none", "argument", "environment", "file"};
  if (vary.way == Vary::Way::none)
    document["vary"] = Json();
  else
    document["vary"] = {{"name", utf8::sanitise(vary.label())},
                        {"way", ways[static_cast<int>(vary.way)]},
                        {"low", vary.low},
                        {"high", vary.high},
                        {"step", vary.step}};
  document["steps"] = outcome.steps;
  document["results"] = Json::array();
  for (const GpuOutcome& gpu : outcome.gpus) document["results"].push_back(to_json(gpu, vary));
  document["measured"] = Json::array();
  for (const auto& [value, trial] : outcome.measured)
    document["measured"].push_back({{"value", vary.way == Vary::Way::none ? Json() : Json(value)},
                                    {"peak_live_bytes", trial.peak_live_bytes},
                                    {"peak_reserved_bytes", trial.peak_reserved_bytes},
                                    {"used_bytes", trial.used_bytes}});
  document["runs"] = outcome.runs;
  document["notes"] = outcome.notes;
  out << document.dump(2) << '\n';
}

}  // namespace vramtrack::tools::fit
