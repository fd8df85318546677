// The data block of the HTML page: a report in columns. Read by report/render/page/src/data.js; the two change
// together.
#pragma once

#include <string>
#include <string_view>

#include "report/model.hpp"

namespace vramtrack::render {

/// JSON text that is safe inside <script type="application/json">. `tab` is the tab that the page opens at.
std::string page_data(const Report& report, std::string_view tab);

/// The page with `data` (already safe for a script element) in it, in pieces: before, data, after.
struct PageShell {
  std::string_view before, after;
};
PageShell page_shell();

}  // namespace vramtrack::render
