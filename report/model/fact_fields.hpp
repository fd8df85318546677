// The fields of a fact that was read (read_fact.hpp), by their rows in contract/facts.def: of a map by name, of a row
// by position. What is absent, null or of another type than the table says is nothing.
#pragma once

#include <optional>

#include "contract/facts.hpp"
#include "report/model/model.hpp"
#include "report/support/utf8.hpp"

namespace vramtrack {

namespace detail {

template <fact::Type type>
const Json* find_field(const Json& fact, fact::Field<type> field) {
  if (fact.is_array()) return field.position < fact.size() ? &fact[field.position] : nullptr;
  if (!fact.is_object()) return nullptr;
  const auto found = fact.find(field.name);
  return found == fact.end() ? nullptr : &*found;
}

}  // namespace detail

inline std::optional<std::uint64_t> get(const Json& fact, fact::Field<fact::Type::number> field) {
  const Json* found = detail::find_field(fact, field);
  const bool counts = found != nullptr && found->is_number_integer() &&
                      (found->is_number_unsigned() || found->get<std::int64_t>() >= 0);
  return counts ? std::optional(found->get<std::uint64_t>()) : std::nullopt;
}

inline std::optional<std::string> get(const Json& fact, fact::Field<fact::Type::text> field) {
  const Json* found = detail::find_field(fact, field);
  return found != nullptr && found->is_string() ? std::optional(utf8::sanitise(found->get<std::string>()))
                                                : std::nullopt;
}

inline std::optional<bool> get(const Json& fact, fact::Field<fact::Type::flag> field) {
  const Json* found = detail::find_field(fact, field);
  return found != nullptr && found->is_boolean() ? std::optional(found->get<bool>()) : std::nullopt;
}

/// What is no number among them is left out.
inline std::vector<std::uint64_t> get(const Json& fact, fact::Field<fact::Type::numbers> field) {
  std::vector<std::uint64_t> numbers;
  if (const Json* found = detail::find_field(fact, field); found != nullptr && found->is_array())
    for (const Json& number : *found)
      if (number.is_number_unsigned()) numbers.push_back(number.get<std::uint64_t>());
  return numbers;
}

inline std::vector<std::string> get(const Json& fact, fact::Field<fact::Type::texts> field) {
  std::vector<std::string> texts;
  if (const Json* found = detail::find_field(fact, field); found != nullptr && found->is_array())
    for (const Json& text : *found)
      if (text.is_string()) texts.push_back(utf8::sanitise(text.get<std::string>()));
  return texts;
}

/// The maps of a list, in their order; what is no map among them is left out.
inline std::vector<const Json*> get(const Json& fact, fact::Field<fact::Type::parts> field) {
  std::vector<const Json*> maps;
  if (const Json* found = detail::find_field(fact, field); found != nullptr && found->is_array())
    for (const Json& map : *found)
      if (map.is_object()) maps.push_back(&map);
  return maps;
}

/// The rows of a list, in their order, at their places: what is no row among them is empty.
inline std::vector<const Json*> get(const Json& fact, fact::Field<fact::Type::rows> field) {
  static const Json no_row = Json::array();
  std::vector<const Json*> rows;
  if (const Json* found = detail::find_field(fact, field); found != nullptr && found->is_array())
    for (const Json& row : *found) rows.push_back(row.is_array() ? &row : &no_row);
  return rows;
}

inline const Json* get(const Json& fact, fact::Field<fact::Type::part> field) {
  const Json* found = detail::find_field(fact, field);
  return found != nullptr && found->is_object() ? found : nullptr;
}

}  // namespace vramtrack
