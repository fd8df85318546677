#include "report/load/load.hpp"

#include <unistd.h>

#include <array>
#include <limits>

#include "contract/history_reader.hpp"
#include "contract/reader.hpp"
#include "report/analysis/history_bands.hpp"
#include "report/load/seal.hpp"
#include "report/model/read_report.hpp"
#include "report/support/files.hpp"
#include "report/support/log.hpp"

namespace vramtrack {
namespace {

/// A report is JSON: its first character that is not white space is a brace. Everything else is for the trace reader,
/// which says what is wrong.
bool looks_like_json(const files::Descriptor& file) {
  std::array<char, 64> head{};
  const ssize_t bytes = pread(file.number(), head.data(), head.size(), 0);
  const std::string_view text(head.data(), bytes < 0 ? 0 : static_cast<std::size_t>(bytes));
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != text.npos && text[first] == '{';
}

trace::TraceFile read_trace(const std::string& path, const AnalyseOptions& options) {
  const log::Step step("read " + path);
  const trace::MappedInput input(path, options.whose);
  trace::TraceFile trace = trace::read_trace(input.bytes(), path);
  trace.owner = input.owner();
  for (std::string& warning : broken_seals(input.bytes())) trace.warnings.push_back(std::move(warning));
  log::debug("trace: ", path, ": ", trace.sites.size(), " call sites, ", trace.stacks.size(), " stacks, ",
             trace.blocks.size(), " live blocks, ", trace.modules.size(), " modules, ", trace.notes.size(), " notes, ",
             trace.torn_records, " torn records");
  for (const std::string& warning : trace.warnings) log::debug("skipped: ", path, ": ", warning);
  return trace;
}

Report load_trace(const std::string& path, const AnalyseOptions& options) {
  try {
    const trace::TraceFile trace = read_trace(path, options);
    Report report = analyse(trace, options);
    if (trace.has_history && options.page) {
      trace::HistoryReader events(path);
      report.history = history_bands(events, trace, report.sites);
    }
    return report;
  } catch (const trace::TraceError& error) {
    const bool known = error.offset() != trace::TraceError::no_offset;
    throw InputError(error.path(), known ? std::optional(error.offset()) : std::nullopt, error.problem(), error.fix());
  }
}

}  // namespace

Report load(const std::string& path, const AnalyseOptions& options) {
  const files::Descriptor file = files::open_regular(path);
  if (!file || !looks_like_json(file)) return load_trace(path, options);
  const log::Step step("read " + path);
  Report report = read_report(files::read_rest(file, std::numeric_limits<std::size_t>::max()), path);
  log::debug("report: ", path, ": ", report.sites.size(), " call sites, ", report.allocations.size(), " blocks, at ",
             report.at);
  const bool oom_asked = options.at == "oom" && report.at == "oom";
  if (options.at != "exit" && options.at != report.at && !oom_asked) {
    throw InputError(path, std::nullopt, "shows the moment \"" + report.at + "\", not \"" + options.at + "\"",
                     "give the .vtrace file to choose the moment");
  }
  return report;
}

}  // namespace vramtrack
