// The data block of the HTML page: a report in columns. Read by page/src/data.js; the two change
// together.
#pragma once

#include <string>
#include <string_view>

#include "report/model/model.hpp"

namespace vramtrack::render {

/// JSON text that is safe inside <script type="application/json">. `tab` is the tab that the page opens at.
std::string page_data(const Report& report, std::string_view tab);

/// A built page without its data: the data block's text (safe for a script element) goes between the two.
struct PageShell {
  std::string_view before, after;
};
PageShell split_shell(std::string_view page);
PageShell page_shell();  // of the report page

}  // namespace vramtrack::render
