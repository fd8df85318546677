// The self-contained page: the built shell (report/render/page/dist/page.html, embedded) with one data block in it.
#include <ostream>

#include "report/render/page_data.hpp"
#include "report/render/page_shell_bytes.hpp"
#include "report/render/render.hpp"

namespace vramtrack::render {
namespace {

void write_page(const std::string& data, std::ostream& out) {
  const PageShell shell = page_shell();
  out << shell.before << data << shell.after;
}

}  // namespace

PageShell page_shell() {
  // The shell is made by build.sh, which checks that the mark stands in it exactly once.
  static constexpr std::string_view k_mark = "@VRAMTRACK_DATA@";
  const std::string_view shell = page_shell_bytes();
  const std::size_t mark = shell.find(k_mark);
  return {shell.substr(0, mark), shell.substr(mark + k_mark.size())};
}

void html(const Report& report, std::ostream& out) { write_page(page_data(report, ""), out); }

void flamegraph(const Report& report, std::ostream& out) { write_page(page_data(report, "flame"), out); }

}  // namespace vramtrack::render
