// The value of a note of a trace: what the traced process noted, as JSON in memory.
#pragma once

#include <string_view>

#include "report/model/model.hpp"

namespace vramtrack {

/// Reads a fact (contract/fact_encoding.hpp), also in its old form (early_fact.hpp). What is neither is a string;
/// every string is valid UTF-8. Never throws: a fact that is cut or wrong in the middle is null.
Json read_fact(std::string_view bytes);

}  // namespace vramtrack
