// The old form of a fact: JSON text, which libraries wrote before contract/fact_encoding.hpp, and their Python agent
// for longest. Traces of theirs are read for ever; nothing writes it any more, and nothing else knows of it.
#pragma once

#include <string_view>

#include "report/model/model.hpp"

namespace vramtrack {

/// The fact as it would be written today, but that maps may stand for rows: fact_fields.hpp finds a field in both. What
/// is no JSON is plain text.
Json read_early_fact(std::string_view text);

}  // namespace vramtrack
