// The self-contained page: the built shell (page/dist/page.html, embedded) with one data block in it.
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

PageShell split_shell(std::string_view page) {
  // The page is made by build.sh, which checks that the mark stands in it exactly once.
  static constexpr std::string_view data_mark = "@VRAMTRACK_DATA@";
  const std::size_t mark = page.find(data_mark);
  return {page.substr(0, mark), page.substr(mark + data_mark.size())};
}

PageShell page_shell() { return split_shell(page_shell_bytes()); }

void html(const Report& report, std::ostream& out) { write_page(page_data(report, ""), out); }

void flamegraph(const Report& report, std::ostream& out) { write_page(page_data(report, "flame"), out); }

}  // namespace vramtrack::render
