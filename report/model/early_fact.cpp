#include "report/model/early_fact.hpp"

#include "contract/facts.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack {
namespace {

/// Some flags were 0 and 1.
void make_flags(Json& fact) {
  const auto holders = fact.is_object() ? fact.find(fact::looks::holders.name) : fact.end();
  if (!fact.is_object() || holders == fact.end() || !holders->is_array()) return;
  for (Json& holder : *holders) {
    if (!holder.is_object()) continue;
    for (const auto& flag : {fact::holder::k, fact::holder::lim})
      if (const auto found = holder.find(flag.name); found != holder.end() && found->is_number_integer())
        *found = *found != 0;
  }
}

}  // namespace

Json read_early_fact(std::string_view text) {
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) return utf8::sanitise(std::string(text));
  // The rows of `tensors` stood in a map of their own.
  if (value.is_object() && value.size() == 1 && value.contains("tensors") && value["tensors"].is_array())
    return std::move(value["tensors"]);
  make_flags(value);
  if (value.is_array())
    for (Json& look : value) make_flags(look);
  return value;
}

}  // namespace vramtrack
