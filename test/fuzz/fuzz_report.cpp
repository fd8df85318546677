// The reader of report JSON, and every format. What JSON itself finds wrong is one line for the user (tools/main.cpp).
#include <nlohmann/json.hpp>
#include <sstream>

#include "report/model/input_error.hpp"
#include "report/model/read_report.hpp"
#include "report/render/ci.hpp"
#include "report/render/render.hpp"

using namespace vramtrack;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Report report = read_report({reinterpret_cast<const char*>(data), size}, "fuzz");
    std::ostringstream out;
    render::text(report, out, {});
    for (auto* format : {render::json, render::folded, render::speedscope, render::pprof, render::perfetto,
                         render::torch_snapshot, render::html})
      format(report, out);
    render::github_annotations(report, "/src", out);
    render::markdown(report, "/src", out);
    render::sarif(report, "/src", out);
  } catch (const InputError&) {
  } catch (const nlohmann::json::exception&) {
  }
  return 0;
}
