// A trace as text: one record a line, in a stable order, for people, tests and other programs' line tools.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "contract/history_reader.hpp"
#include "contract/reader.hpp"

namespace vramtrack::trace {

/// In double quotes; control characters, quotes, backslashes and bytes that are not UTF-8 as \n, \t, \", \\, \xNN.
std::string escaped(std::string_view text);

void dump(const TraceFile& trace, std::ostream& out);

/// One line for each event of the history, in order of time.
void dump_history(const TraceFile& trace, HistoryReader& history, std::ostream& out);

/// The part of dump() that prints TraceFile::graphs.
void dump_graphs(const TraceFile& trace, std::ostream& stream);

}  // namespace vramtrack::trace
