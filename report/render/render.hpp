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

void json(const Report& report, std::ostream& out);
void text(const Report& report, std::ostream& out, const TextOptions& options);
void folded(const Report& report, std::ostream& out);
void html(const Report& report, std::ostream& out);        // the whole interactive page
void flamegraph(const Report& report, std::ostream& out);  // the page, opened at the flame graph
void speedscope(const Report& report, std::ostream& out);
void pprof(const Report& report, std::ostream& out);
void perfetto(const Report& report, std::ostream& out);
void torch_snapshot(const Report& report, std::ostream& out);

}  // namespace vramtrack::render
