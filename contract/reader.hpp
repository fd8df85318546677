// Reads a .vtrace file into a value. Runs in the tools, never in the traced process (it throws and allocates).
// Tolerant: whatever is torn, truncated or damaged makes the result smaller and adds a warning. Only a file that is no
// trace of a version known here, or whose header is incomplete, is an error. Also reads the file of a running process.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "contract/heap_graph_reader.hpp"
#include "contract/layout.hpp"
#include "contract/mapped_input.hpp"

namespace vramtrack::trace {

/// `what()` is one line: path, what is wrong, the offset where there is one, and what to do.
class TraceError : public std::runtime_error {
 public:
  static constexpr std::uint64_t no_offset = ~0ull;
  TraceError(std::string path, std::uint64_t offset, std::string what, std::string fix);
  const std::string& path() const noexcept { return path_; }
  std::uint64_t offset() const noexcept { return offset_; }
  const std::string& problem() const noexcept { return problem_; }
  const std::string& fix() const noexcept { return fix_; }

 private:
  std::string path_, problem_, fix_;
  std::uint64_t offset_;
};

/// A place in the log: records count from 0 in the order in which they were written.
using LogPosition = std::uint64_t;
inline constexpr LogPosition end_of_log = ~0ull;

struct Module {
  std::uint32_t id = 0;
  std::string path;
  std::string build_id;  // hex, "" when the file has none
  std::uint64_t base = 0, start = 0, end = 0;
  LogPosition from = 0, until = end_of_log;  // it was loaded for the records in [from, until)
};

struct Code {
  bool known = false;
  std::uint32_t file = 0, name = 0, qualname = 0;  // string ids
  std::int32_t first_line = 0;
  std::uint32_t version = 0;
  std::string line_table;
};

struct Label {
  bool known = false;
  LabelKind kind = LabelKind::module;
  std::uint32_t name = 0;     // string id
  std::uint64_t address = 0;  // of the module's object
};

struct Stack {
  bool known = false;
  std::uint32_t flags = 0;  // StackFlags
  std::uint16_t python_frames = 0, native_frames = 0;
  std::uint16_t module = 0, range = 0;  // labels, 0: none
  LogPosition position = 0;
  std::uint64_t first_word = 0;  // in TraceFile::words
};

struct TimelineSeries {
  std::uint32_t account = 0;  // index into TraceFile::accounts
  std::uint64_t interval = 0;
  std::vector<TimelinePoint> points;
};

struct Oom {
  OomRecord record{};
  std::vector<Block> blocks;  // the live set of that moment
};

struct Note {
  std::string key;
  std::uint32_t n = 0;
  std::string value;
};

struct TraceFile {
  std::string path;
  std::uint32_t owner = 0;  // the user that the file belongs to; of a trace in memory, the caller
  std::uint64_t file_bytes = 0;
  Header header{};                // a copy; of its accounts use `accounts`
  std::vector<Account> accounts;  // of the header, same indices (holes: used == 0); then each tensor account as `block`
  std::vector<std::string> strings;
  std::vector<Module> modules;  // in the order in which they were loaded
  std::vector<Code> codes;      // by id
  std::vector<Stack> stacks;    // by id
  std::vector<Label> labels;    // by id; 0 is none
  std::vector<std::uint64_t> words;
  std::vector<Site> sites;    // by index; holes have used == 0
  std::vector<Block> blocks;  // live ones, in the order of their slots; `site` is always a used site
  std::vector<TimelineSeries> timelines;
  std::vector<Oom> ooms;                // by n
  std::vector<ContextRecord> contexts;  // as written
  std::vector<Note> notes;              // as written; see note()
  std::vector<HeapGraph> graphs;        // who held what, at each recorded moment, as written
  std::uint64_t torn_records = 0;
  bool has_history = false;
  std::vector<std::string> warnings;

  const std::string& string(std::uint32_t id) const;                      // "" when unknown
  const Code* code(std::uint32_t id) const;                               // nullptr when unknown
  const Stack* stack(StackId id) const;                                   // nullptr when unknown
  const Label* label(std::uint32_t id) const;                             // nullptr when unknown
  std::span<const std::uint64_t> python_words(const Stack& stack) const;  // innermost first
  std::span<const std::uint64_t> native_words(const Stack& stack) const;  // innermost first
  /// The module that covered an address when the record at `position` was written; nullptr when none did.
  const Module* module_at(std::uint64_t address, LogPosition position) const;
  const Account* account(Layer layer, std::int16_t device, Kind kind) const;

  /// The last note with this key and n, or nullptr. Keys that end in "[]" add up: use all_notes().
  const std::string* note(std::string_view key, std::uint32_t n = 0) const;
  std::vector<const Note*> all_notes(std::string_view key) const;

  /// What a site held when its account (peak_kind) was at its last peak.
  std::uint64_t bytes_at_peak(const Site& site) const;
  std::uint64_t count_at_peak(const Site& site) const;

  double seconds(std::uint64_t ticks) const;         // since the process began (the trace begins at its first event)
  std::uint64_t start_real_ns() const;               // when that was
  std::uint64_t real_ns(std::uint64_t ticks) const;  // since the Unix epoch
  double seconds_of(std::uint64_t ticks) const;      // a duration

  /// Fills the index of module_at(); read_trace does it.
  void index_modules();

 private:
  double seconds_since_trace_start(std::uint64_t ticks) const;
  std::vector<std::uint32_t> modules_by_start_;
  std::vector<std::uint64_t> highest_end_;  // of the modules up to and including this one
};

/// Throws TraceError unless this is a trace of a version known here with a whole header; returns a copy of that.
Header check_header(std::span<const std::byte> bytes, const std::string& path);

/// Throws TraceError.
TraceFile read_trace(const std::string& path, Whose whose = Whose::anybodys);

/// The same from memory; `path` is only for messages.
TraceFile read_trace(std::span<const std::byte> bytes, const std::string& path);

/// Only what says how much: header, accounts, sites and time series; no stack, block, out-of-memory event or note.
/// Costs a look at each extent's header, however much lives and was logged. Throws TraceError.
TraceFile read_counters(const std::string& path);

}  // namespace vramtrack::trace
