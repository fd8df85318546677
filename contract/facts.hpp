// The names and types of contract/facts.def, for the half that writes a fact and the half that reads it: a field that
// is written as a number is read as one, and a name stands in the table alone.
#pragma once

#include <string_view>

namespace vramtrack::fact {

enum class Type { number, text, flag, texts, part, parts };

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

}  // namespace vramtrack::fact
