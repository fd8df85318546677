// The functions that the agent's Python calls: native_step, native_fact and so on.
#pragma once

#include "interpose/python/python_api.hpp"

namespace vramtrack::agent {

/// Puts the natives into the agent's globals. GIL held. False with a Python error set when that failed.
bool add_natives(const PythonApi& api, Object* globals) noexcept;

}  // namespace vramtrack::agent
