// The names and types of contract/facts.def, for the half that writes a fact and the half that reads it: a field that
// is written as a number is read as one, and a name stands in the table alone.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace vramtrack::fact {

enum class Form { text, map, list, rows };
enum class Type { number, text, flag, numbers, texts, part, parts, rows };

/// A field of a fact. `position`: in a row, a list without names.
template <Type type>
struct Field {
  std::string_view name;
  unsigned position;
};

#define FACT_FIELD(fact, position, name, type, what)        \
  namespace fact {                                          \
  inline constexpr Field<Type::type> name{#name, position}; \
  }
#include "contract/facts.def"

// The same as tables, for who writes values that are known by their names only.

struct FactRow {
  std::string_view name, key;
  Form form;
};

struct FieldRow {
  std::string_view fact;
  unsigned position;
  std::string_view name;
  Type type;
  std::string_view part;  // what its value is, of a part, parts or rows
};

namespace detail {

/// "`device`, for each" -> "device"
constexpr std::string_view part_in(Type type, std::string_view what) noexcept {
  if (type != Type::part && type != Type::parts && type != Type::rows) return {};
  const std::size_t begin = what.find('`') + 1, end = what.find('`', begin);
  return begin == 0 || end == std::string_view::npos ? std::string_view() : what.substr(begin, end - begin);
}

}  // namespace detail

inline constexpr FactRow fact_rows[] = {
#define FACT(name, key, form, when, what) {#name, key, Form::form},
#include "contract/facts.def"
};

inline constexpr FieldRow field_rows[] = {
#define FACT_FIELD(fact, position, name, type, what) \
  {#fact, position, #name, Type::type, detail::part_in(Type::type, what)},
#include "contract/facts.def"
};

constexpr const FactRow* find_fact(std::string_view name) noexcept {
  for (const FactRow& row : fact_rows)
    if (row.name == name) return &row;
  return nullptr;
}

/// The fields of a fact or of a part, in the order of their positions.
constexpr std::span<const FieldRow> fields_of(std::string_view fact) noexcept {
  std::size_t begin = 0;
  while (begin < std::size(field_rows) && field_rows[begin].fact != fact) ++begin;
  std::size_t end = begin;
  while (end < std::size(field_rows) && field_rows[end].fact == fact) ++end;
  return {field_rows + begin, end - begin};
}

namespace detail {

consteval bool positions_are_in_order() {
  for (const FieldRow& row : field_rows) {
    const std::span<const FieldRow> fields = fields_of(row.fact);
    if (row.position >= fields.size() || fields[row.position].name != row.name) return false;
  }
  return true;
}

consteval bool parts_are_described() {
  for (const FieldRow& row : field_rows)
    if (part_in(row.type, "`?`") == "?" && fields_of(row.part).empty()) return false;
  return true;
}

}  // namespace detail

static_assert(detail::positions_are_in_order(), "contract/facts.def: the fields of a fact stand together, from 0 on");
static_assert(detail::parts_are_described(), "contract/facts.def: a part, parts or rows names its part in its text");

}  // namespace vramtrack::fact
