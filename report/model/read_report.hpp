// Reads a JSON report ("vramtrack-report/1") back into a Report.
#pragma once

#include <string>
#include <string_view>

#include "report/model/model.hpp"

namespace vramtrack {

/// `path` is only named in errors. Unknown keys are skipped, missing ones keep their defaults (an older or newer
/// report can be read); a wrong type or an index that points nowhere is an InputError.
Report read_report(std::string_view text, const std::string& path);

}  // namespace vramtrack
