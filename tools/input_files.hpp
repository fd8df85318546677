// Which files a command means when it is given a folder.
#pragma once

#include <string>
#include <vector>

namespace vramtrack::tools {

/// Folders become the processes that they hold, one file each, in the order of their names: the report, where one was
/// written and `reports` is set, else the trace. Out-of-memory reports are not processes. Files stay as they are.
/// Throws when a folder holds neither.
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs, bool reports);

}  // namespace vramtrack::tools
