// command.cpp has the table of all commands, of which this program has none.
#include "tools/command.hpp"

namespace vramtrack::tools {
#define COMMAND(suffix, name, synopsis) \
  int cmd_##suffix(const Arguments&) { return 0; }
#include "tools/commands.def"
#undef COMMAND
}  // namespace vramtrack::tools
