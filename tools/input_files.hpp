// Which files a command means when it is given a folder.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace vramtrack::tools {

/// Folders become the processes that they hold, one file each, in the order of their names: the report, where one was
/// written and `reports` is set, else the trace. Out-of-memory reports are not processes. Files stay as they are.
/// Throws when a folder holds neither.
std::vector<std::string> expand_inputs(const std::vector<std::string>& inputs, bool reports);

/// The process that an input names: digits, and no file of that name. Nothing otherwise.
std::optional<pid_t> process_number(const std::string& input);

/// The traces of a running process and of all that it started; throws when there is none.
std::vector<std::string> traces_of(pid_t root);

}  // namespace vramtrack::tools
