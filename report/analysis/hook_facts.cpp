#include "report/analysis/hook_facts.hpp"

#include "report/support/units.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

const Json* object_in(const Report& report, const char* key) {
  const auto found = report.notes.find(key);
  return found != report.notes.end() && found->second.is_object() ? &found->second : nullptr;
}

std::uint64_t number_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

bool flag_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_boolean() && found->get<bool>();
}

std::optional<std::string> text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_string()) return std::nullopt;
  std::string text = utf8::sanitise(found->get<std::string>());
  return text.empty() ? std::nullopt : std::optional(std::move(text));
}

std::vector<std::string> texts_in(const Json& json, const char* key) {
  std::vector<std::string> texts;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) return texts;
  for (const Json& text : *found) {
    if (text.is_string()) texts.push_back(utf8::sanitise(text.get<std::string>()));
  }
  return texts;
}

std::vector<CalledFunction> functions_in(const Json& json, const char* key) {
  std::vector<CalledFunction> functions;
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) return functions;
  for (const Json& function : *found) {
    if (!function.is_object()) continue;
    functions.push_back(
        {text_in(function, "function").value_or("?"), number_in(function, "count"), number_in(function, "bytes")});
  }
  return functions;
}

/// "", or what a reader would otherwise look for among the allocations.
std::string explanation(const Audit& audit) {
  if (audit.explained.empty()) return {};
  std::string text = "; explained: ";
  const char* separator = "";
  for (const CalledFunction& function : audit.explained) {
    text += separator + function.function + " " + plural(function.count, "time");
    separator = ", ";
  }
  text += " (a launched graph's memory is recorded when its nodes are made";
  if (audit.graph_peak_bytes != 0)
    text += "; the driver held at most " + human_bytes(audit.graph_peak_bytes) + " for them";
  return text + ")";
}

}  // namespace

std::optional<Doors> doors_of(const Report& report) {
  const Json* json = object_in(report, "doors");
  if (json == nullptr) return std::nullopt;
  return Doors{texts_in(*json, "runtimes"), text_in(*json, "driver"), texts_in(*json, "by_name"),
               texts_in(*json, "by_look_up"), number_in(*json, "unwrapped")};
}

std::optional<Audit> audit_of(const Report& report) {
  const Json* json = object_in(report, "audit");
  if (json == nullptr) return std::nullopt;
  Audit audit;
  audit.unavailable = text_in(*json, "unavailable");
  audit.complete = flag_in(*json, "complete");
  audit.handed_over = flag_in(*json, "handed_over");
  audit.version = number_in(*json, "version");
  audit.allocations = number_in(*json, "allocations");
  audit.missed = number_in(*json, "missed");
  audit.recorded = flag_in(*json, "recorded");
  audit.missed_functions = functions_in(*json, "missed_functions");
  audit.explained = functions_in(*json, "explained");
  audit.graph_peak_bytes = number_in(*json, "graph_peak_bytes");
  return audit;
}

std::string audit_line(const Audit& audit) {
  if (audit.unavailable) return "audit: not made, " + *audit.unavailable;
  if (!audit.complete) return "audit: not finished, the process ended before it could tell what CUPTI saw";
  std::string line =
      audit.handed_over ? "audit: until the program took CUPTI for itself, it saw " : "audit: CUPTI saw ";
  line += plural(audit.allocations, "allocation") + ", ";
  if (audit.missed == 0) return line + "all recorded" + explanation(audit);
  line += audit.recorded ? "of which the hooks missed " : "missed ";
  line += std::to_string(audit.missed);
  const char* separator = ": ";
  for (const CalledFunction& function : audit.missed_functions) {
    line += separator + function.function + " " + plural(function.count, "time") + ", " + human_bytes(function.bytes);
    separator = "; ";
  }
  return line + (audit.recorded ? " (recorded through CUPTI)" : "") + explanation(audit);
}

}  // namespace vramtrack
