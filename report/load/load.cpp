#include "report/load/load.hpp"

#include <array>
#include <fstream>
#include <sstream>

#include "contract/history_reader.hpp"
#include "contract/reader.hpp"
#include "report/analysis/history_bands.hpp"
#include "report/model/read_report.hpp"

namespace vramtrack {
namespace {

/// A report is JSON: its first character that is not white space is a brace. Everything else is for the trace reader,
/// which says what is wrong.
bool looks_like_json(std::istream& in) {
  std::array<char, 64> head{};
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  const std::string_view text(head.data(), static_cast<std::size_t>(in.gcount()));
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != text.npos && text[first] == '{';
}

Report load_trace(const std::string& path, const AnalyseOptions& options) {
  trace::TraceFile trace;
  std::vector<HistoryBands> history;
  try {
    trace = trace::read_trace(path);
    if (trace.has_history && options.history) {
      trace::HistoryReader events(path);
      history = history_bands(events, trace);
    }
  } catch (const trace::TraceError& error) {
    const bool known = error.offset() != trace::TraceError::no_offset;
    throw InputError(error.path(), known ? std::optional(error.offset()) : std::nullopt, error.problem(), error.fix());
  }
  Report report = analyse(trace, options);
  report.history = std::move(history);
  return report;
}

}  // namespace

Report load(const std::string& path, const AnalyseOptions& options) {
  std::ifstream in(path, std::ios::binary);
  if (!in || !looks_like_json(in)) return load_trace(path, options);
  in.clear();
  in.seekg(0);
  std::ostringstream text;
  text << in.rdbuf();
  Report report = read_report(text.view(), path);
  const bool oom_asked = options.at == "oom" && report.at == "oom";
  if (options.at != "exit" && options.at != report.at && !oom_asked) {
    throw InputError(path, std::nullopt, "shows the moment \"" + report.at + "\", not \"" + options.at + "\"",
                     "give the .vtrace file to choose the moment");
  }
  return report;
}

}  // namespace vramtrack
