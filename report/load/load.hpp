// One way in for every command that takes INPUT.
#pragma once

#include <string>

#include "report/load/analyse.hpp"
#include "report/model/input_error.hpp"

namespace vramtrack {

/// Reads a .vtrace (analysed with `options`) or a report .json, told apart by their first bytes. A .json shows the one
/// moment that it was written for: asked for another one than that (or "exit", the default), throws InputError.
Report load(const std::string& path, const AnalyseOptions& options);

}  // namespace vramtrack
