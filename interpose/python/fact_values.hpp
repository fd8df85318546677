// The agent's facts: Python values, written by their rows in contract/facts.def.
#pragma once

#include <cstdint>
#include <string_view>

#include "interpose/python/python_api.hpp"

namespace vramtrack::agent {

/// Writes `value` as the fact of that name: of a map a dict, of a list a list of dicts, of rows a list of tuples or
/// lists, of text a str. What is not as the rows say becomes null, or is left out, and a note `agent_error[]` says so.
/// GIL held, no error set; calls nothing of the script's. False: not recorded.
bool write_fact(std::string_view name, Object* value, std::uint32_t n) noexcept;

}  // namespace vramtrack::agent
