// From the stacks of a trace to frames of a report: Python lines, native symbols, merged and interned.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "contract/reader.hpp"
#include "report/model/model.hpp"
#include "report/symbolize/merge_stack.hpp"
#include "report/symbolize/source_lines.hpp"
#include "report/symbolize/symbolizer.hpp"

namespace vramtrack {

struct ResolvedStack {
  std::vector<FrameId> frames;  // innermost first
  std::string owner;            // see owner.hpp
};

struct SymbolOptions {
  bool symbols = true;       // off: native frames are shown as module + offset
  std::string symbol_cache;  // folder in which names are kept between runs (symbol_cache.hpp); "": nowhere
  bool source_text = true;   // read the text of each line from the source files
};

class StackResolver {
 public:
  /// Frames are added to report.frames, losses and notes to report.losses (the latter by finish()).
  StackResolver(const trace::TraceFile& trace, const SymbolOptions& options, Report& report);

  /// The same object for the same id; an unknown id has no frames.
  const ResolvedStack& resolve(trace::StackId id);

  /// A frame that is known by its place alone.
  FrameId python_frame(std::string_view function, std::string_view file, int line);

  /// Adds what was lost to the report, and keeps what was looked up for later runs. Once, at the end.
  void finish();

 private:
  struct NativeAddress {
    std::vector<Frame> unused;    // innermost first, inlined ones included; until a stack shows them
    std::vector<FrameId> frames;  // the same, once one does: the report holds no frame that nothing refers to
    bool resolved = true;
    NativeRole role = NativeRole::plain;
  };

  FrameId python_frame(std::uint64_t word);
  NativeAddress& native_address(const trace::Module* module, std::uint64_t address);
  const std::vector<FrameId>& shown(NativeAddress& address);
  FrameId intern(Frame frame);

  const trace::TraceFile& trace_;
  const bool symbols_;
  Report& report_;
  Symbolizer symbolizer_;
  SourceLines source_;
  std::unordered_map<trace::StackId, ResolvedStack> stacks_;
  std::unordered_map<std::uint64_t, FrameId> python_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, NativeAddress> native_;  // by module id + 1 (0: none), address
  std::unordered_map<std::string, FrameId> frames_;                          // by all fields
};

}  // namespace vramtrack
