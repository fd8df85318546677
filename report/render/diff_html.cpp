// `vramtrack diff --format html`: one self-contained page, a fixed shell (diff_page/shell.html, embedded) around the
// same JSON that --format json writes.
#include <ostream>
#include <sstream>

#include "report/diff.hpp"
#include "report/render/column_json.hpp"
#include "report/render/diff_page_shell.hpp"

namespace vramtrack::render {

void diff_html(const Diff& diff, std::ostream& out) {
  constexpr std::string_view mark = "@VRAMTRACK_DATA@";
  const std::string_view shell = diff_page_shell();
  const std::size_t at = shell.find(mark);
  std::ostringstream data;
  diff_json(diff, data);
  out << shell.substr(0, at) << safe_for_script(data.view()) << shell.substr(at + mark.size());
}

}  // namespace vramtrack::render
