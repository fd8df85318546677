#include "report/analysis/hook_facts.hpp"

#include "contract/notes.hpp"
#include "report/model/fact_fields.hpp"
#include "report/support/units.hpp"

namespace vramtrack {
namespace {

const Json* fact_in(const Report& report, std::string_view key) {
  const auto found = report.notes.find(std::string(key));
  return found != report.notes.end() && found->second.is_object() ? &found->second : nullptr;
}

std::optional<std::string> text_of(const Json& fact, fact::Field<fact::Type::text> field) {
  std::optional<std::string> text = get(fact, field);
  return text && text->empty() ? std::nullopt : text;
}

std::vector<CalledFunction> functions_of(const Json& fact, fact::Field<fact::Type::parts> field) {
  std::vector<CalledFunction> functions;
  for (const Json* call : get(fact, field)) {
    functions.push_back({text_of(*call, fact::calls::function).value_or("?"),
                         get(*call, fact::calls::count).value_or(0), get(*call, fact::calls::bytes).value_or(0)});
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
  namespace doors = fact::doors;
  const Json* fact = fact_in(report, trace::note_key::doors);
  if (fact == nullptr) return std::nullopt;
  return Doors{get(*fact, doors::runtimes), text_of(*fact, doors::driver), get(*fact, doors::by_name),
               get(*fact, doors::by_look_up), get(*fact, doors::unwrapped).value_or(0)};
}

std::optional<Audit> audit_of(const Report& report) {
  namespace audit = fact::audit;
  const Json* fact = fact_in(report, trace::note_key::audit);
  if (fact == nullptr) return std::nullopt;
  Audit made;
  made.unavailable = text_of(*fact, audit::unavailable);
  made.complete = get(*fact, audit::complete).value_or(false);
  made.handed_over = get(*fact, audit::handed_over).value_or(false);
  made.version = get(*fact, audit::version).value_or(0);
  made.allocations = get(*fact, audit::allocations).value_or(0);
  made.missed = get(*fact, audit::missed).value_or(0);
  made.recorded = get(*fact, audit::recorded).value_or(false);
  made.missed_functions = functions_of(*fact, audit::missed_functions);
  made.explained = functions_of(*fact, audit::explained);
  made.graph_peak_bytes = get(*fact, audit::graph_peak_bytes).value_or(0);
  return made;
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
