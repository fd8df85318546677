// The output formats by name, shared by `report`, `flamegraph` and `run`.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "report/load/load.hpp"
#include "report/render/render.hpp"

namespace vramtrack::tools {

struct Format {
  const char* name;
  void (*render)(const Report&, std::ostream&);  // null: text, which takes options
};
const std::vector<Format>& formats();

/// All of them, "text, json, ...".
std::string format_names();

/// The format of that name; UsageError with the nearest name when there is none.
const Format& find_format(const std::string& name);

/// What every command starts from: names are kept in the user's cache between runs.
AnalyseOptions analyse_options();

/// Parses --at: exit | peak | oom | oom:N | live. UsageError otherwise.
void parse_at(const std::string& text, AnalyseOptions& options);

/// Text options for an output file descriptor: colour on a terminal without NO_COLOR, width of the terminal.
render::TextOptions text_options(int descriptor);

}  // namespace vramtrack::tools
