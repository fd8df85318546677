// Renderers: pure functions from a report to text, one file per format. Streams are not closed or flushed.
#pragma once

#include <iosfwd>
#include <string>

#include "report/model/model.hpp"

namespace vramtrack::render {

struct TextOptions {
  bool colour = false;
  int width = 100;  // columns
  std::size_t top = 20;
  std::string sort;         // bytes (default) | count | peak | growth
  std::string filter;       // substring of file, function, owner or module
  std::string group_by;     // site (default) | module | owner | role | file
  std::string report_path;  // shown on the last line when set
};

#define FORMAT(function, name) void function(const Report& report, std::ostream& out);
#include "report/render/formats.def"

void text(const Report& report, std::ostream& out, const TextOptions& options);
void flamegraph(const Report& report, std::ostream& out);  // html(), opened at the flame graph

}  // namespace vramtrack::render
