// The trace reader and what stands behind it: analysis, findings, the text page. Seeds: test/golden.
#include <sstream>

#include "contract/history_reader.hpp"
#include "contract/reader.hpp"
#include "contract/replay.hpp"
#include "report/load/analyse.hpp"
#include "report/model/input_error.hpp"
#include "report/render/dump.hpp"
#include "report/render/render.hpp"

using namespace vramtrack;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const trace::TraceFile file = trace::read_trace(bytes, "fuzz");
    std::ostringstream out;
    trace::dump(file, out);
    trace::HistoryReader history(bytes, "fuzz");
    trace::replay_timelines(history, file);
    trace::replay_live(history, file, ~0ull);
    AnalyseOptions options;
    options.symbols = options.source_text = false;  // the files that a trace names are none of its business here
    for (const char* const moment : {"exit", "peak", "oom"}) {
      options.at = moment;
      options.oom = file.ooms.empty() ? 1 : file.ooms.front().record.n;
      if (options.at == "oom" && file.ooms.empty()) continue;
      const Report report = analyse(file, options);
      render::text(report, out, {});
      render::json(report, out);
    }
  } catch (const trace::TraceError&) {
  } catch (const InputError&) {
  }
  return 0;
}
