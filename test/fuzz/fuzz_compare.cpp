// diff and merge of two reports: the input's halves, with a line of dashes between them.
#include <nlohmann/json.hpp>
#include <sstream>

#include "report/compare/diff.hpp"
#include "report/compare/merge.hpp"
#include "report/model/input_error.hpp"
#include "report/model/read_report.hpp"
#include "report/render/render.hpp"

using namespace vramtrack;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t middle = text.find("\n---\n");
  try {
    const Report a = read_report(text.substr(0, middle), "a");
    const Report b = middle == text.npos ? a : read_report(text.substr(middle + 5), "b");
    std::ostringstream out;
    for (const DiffBy by : {DiffBy::live, DiffBy::peak}) {
      const Diff diff = compare(a, b, by);
      describe_growth(diff, 0);
      render::diff_text(diff, out, {});
      render::diff_json(diff, out);
      render::diff_html(diff, out);
    }
    Merger merger;
    merger.add(a, "a");
    merger.add(b, "b");
    render::json(merger.finish(), out);
  } catch (const InputError&) {
  } catch (const nlohmann::json::exception&) {
  }
  return 0;
}
