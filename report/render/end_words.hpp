// What can be said of a process by how it ended: only one that ended by itself was looked at as a whole.
#pragma once

#include <string>

#include "report/model/model.hpp"

namespace vramtrack::render {

/// "No problem found", and how far that goes. Without a full stop.
std::string none_found(const Report& report);

/// When what is listed was alive: "at exit", "at the peak", "now", ...
std::string moment_words(const Report& report);

}  // namespace vramtrack::render
