// See reader.hpp. Everything that is read from the file is checked before it is used as an index or a length: no
// content may cause a crash, or an allocation larger than the file.
#include "contract/reader.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>

#include "contract/contradictions.hpp"
#include "contract/extents.hpp"
#include "contract/mapped_input.hpp"
#include "contract/pending_input.hpp"
#include "contract/pending_replay.hpp"

namespace vramtrack::trace {

namespace {

using Bytes = std::span<const std::byte>;

template <class T>
T read_at(Bytes bytes, std::size_t offset = 0) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string hex_of(Bytes bytes) {
  std::string text;
  for (const std::byte b : bytes) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
  }
  return text;
}

enum class Parts { all, counters };

class Reader {
 public:
  Reader(Bytes bytes, const std::string& path, Parts parts) : bytes_(bytes), parts_(parts) {
    out_.path = path;
    out_.file_bytes = bytes.size();
  }

  TraceFile read() {
    header();
    // Ids and ordinals beyond what the file has room for are damage, not sizes to allocate.
    extents_in_file_ = (bytes_.size() + extent_bytes - 1) / extent_bytes;
    max_id_ = bytes_.size() / sizeof(RecordHeader);
    walk();
    if (parts_ == Parts::all) logs();
    const auto before = booking_states(bytes_);
    tables();
    const std::vector<Waiting> waiting = pending_events(before);
    const bool blocks_needed = std::any_of(waiting.begin(), waiting.end(), has_frees);
    if (parts_ == Parts::all || blocks_needed) live_blocks();
    for (const Part& part : timelines_) timeline(part.payload);
    for (const Waiting& events : waiting) book_pending(out_, events);
    if (parts_ == Parts::counters) out_.blocks.clear();
    add_block_accounts();
    finish();
    return std::move(out_);
  }

 private:
  struct Part {  // an extent (run) of one type, as far as the file has it
    std::uint32_t ordinal;
    Bytes payload;
  };

  void warn_once(const std::string& what) {
    if (++warned_[what] == 1) order_.push_back(what);
  }

  void header() {
    out_.header = check_header(bytes_, out_.path);
    if (out_.header.extent_bytes != extent_bytes || out_.header.header_bytes < offsetof(Header, accounts))
      warn_once("the header is damaged; the usual sizes are assumed");
  }

  // Sorts the extents by type and ordinal.
  void walk() {
    for (const Run& run : runs_of(bytes_)) {
      if (run.at == 0) continue;                                      // the header
      if (run.damaged) warn_once("an extent is cut off or damaged");  // the last of a truncated file, it may be
      const Part part{run.head.ordinal, run.payload()};
      switch (static_cast<ExtentType>(run.head.type)) {
        case ExtentType::log:
          logs_.push_back(part);
          break;
        case ExtentType::sites:
          sites_.push_back(part);
          break;
        case ExtentType::blocks:
          blocks_.push_back(part);
          break;
        case ExtentType::timeline:
          timelines_.push_back(part);
          break;
        case ExtentType::pending:
          pending_.push_back(part);
          break;
        case ExtentType::history:
          out_.has_history = true;
          break;
        case ExtentType::free:
        case ExtentType::header:
          break;
        default:
          warn_once("an extent of a type that this version does not know was skipped");
          break;
      }
    }
    const auto by_ordinal = [](const Part& a, const Part& b) { return a.ordinal < b.ordinal; };
    for (auto* parts : {&logs_, &sites_, &blocks_, &timelines_})
      std::stable_sort(parts->begin(), parts->end(), by_ordinal);
  }

  // ---- the log ---------------------------------------------------------------------------------------------------

  void torn(const char* what) {
    ++out_.torn_records;
    warn_once(what);
  }

  void logs() {
    for (const Part& part : logs_) {
      std::size_t at = 0;
      while (at + sizeof(RecordHeader) <= part.payload.size()) {
        auto head = read_at<RecordHeader>(part.payload, at);
        if (head.bytes == 0) break;
        at += sizeof head;
        if (head.bytes > part.payload.size() - at) {
          torn("a record is cut off");
          break;
        }
        // A running process stores the type last: the fence keeps the payload's bytes from being older than it.
        std::atomic_thread_fence(std::memory_order_acquire);
        record(static_cast<RecordType>(head.type), part.payload.subspan(at, head.bytes));
        ++position_;
        at += (std::size_t{head.bytes} + 7) / 8 * 8;
      }
    }
  }

  void record(RecordType type, Bytes payload) {
    bool good = true;
    switch (type) {
      case RecordType::torn:
        return torn("a record was not finished");
      case RecordType::string:
        good = string(payload);
        break;
      case RecordType::module:
        good = module(payload);
        break;
      case RecordType::module_gone:
        good = module_gone(payload);
        break;
      case RecordType::code:
        good = code(payload);
        break;
      case RecordType::stack:
        good = stack(payload);
        break;
      case RecordType::label:
        good = label(payload);
        break;
      case RecordType::oom:
        good = oom(payload);
        break;
      case RecordType::context:
        good = context(payload);
        break;
      case RecordType::note:
        good = note(payload);
        break;
      case RecordType::heap_graph:
        good = heap_graph(payload);
        break;
      default:
        return warn_once("a record of a type that this version does not know was skipped");
    }
    if (!good) torn("a record is damaged");
  }

  // Makes `list[id]` valid; false for an id that cannot be.
  template <class List>
  bool make_place(List& list, std::uint32_t id) const {
    if (id >= max_id_) return false;
    if (id >= list.size()) list.resize(id + 1);
    return true;
  }

  bool string(Bytes payload) {
    if (payload.size() < sizeof(StringRecord)) return false;
    const auto fixed = read_at<StringRecord>(payload);
    if (!make_place(out_.strings, fixed.id)) return false;
    if (out_.strings[fixed.id].empty()) out_.strings[fixed.id] = text_of(payload.subspan(sizeof fixed));
    return true;
  }

  bool module(Bytes payload) {
    if (payload.size() < sizeof(ModuleRecord)) return false;
    const auto fixed = read_at<ModuleRecord>(payload);
    if (fixed.build_id_bytes > sizeof fixed.build_id || fixed.end < fixed.start) return false;
    Module module;
    module.id = fixed.id;
    module.path = out_.string(fixed.path);
    module.build_id = hex_of(payload.subspan(offsetof(ModuleRecord, build_id), fixed.build_id_bytes));
    module.base = fixed.base;
    module.start = fixed.start;
    module.end = fixed.end;
    module.from = position_;
    modules_by_id_[fixed.id] = out_.modules.size();
    out_.modules.push_back(std::move(module));
    return true;
  }

  bool module_gone(Bytes payload) {
    if (payload.size() < sizeof(ModuleGoneRecord)) return false;
    const auto known = modules_by_id_.find(read_at<ModuleGoneRecord>(payload).id);
    if (known == modules_by_id_.end()) return false;
    Module& module = out_.modules[known->second];
    module.until = std::min(module.until, position_);
    return true;
  }

  bool code(Bytes payload) {
    if (payload.size() < sizeof(CodeRecord)) return false;
    const auto fixed = read_at<CodeRecord>(payload);
    if (fixed.line_table_bytes > payload.size() - sizeof fixed || !make_place(out_.codes, fixed.id)) return false;
    Code& code = out_.codes[fixed.id];
    if (code.known) return false;
    code.known = true;
    code.file = fixed.file;
    code.name = fixed.name;
    code.qualname = fixed.qualname;
    code.first_line = fixed.first_line;
    code.version = fixed.version;
    code.line_table = text_of(payload.subspan(sizeof fixed, fixed.line_table_bytes));
    return true;
  }

  bool stack(Bytes payload) {
    if (payload.size() < sizeof(StackRecord)) return false;
    const auto fixed = read_at<StackRecord>(payload);
    const std::size_t count = std::size_t{fixed.python_frames} + fixed.native_frames;
    if (count * 8 > payload.size() - sizeof fixed || !make_place(out_.stacks, number_of(fixed.id))) return false;
    Stack& stack = out_.stacks[number_of(fixed.id)];
    if (stack.known) return false;
    stack.known = true;
    stack.flags = fixed.flags;
    stack.python_frames = fixed.python_frames;
    stack.native_frames = fixed.native_frames;
    stack.module = fixed.module;
    stack.range = fixed.range;
    stack.position = position_;
    stack.first_word = out_.words.size();
    out_.words.resize(out_.words.size() + count);
    if (count != 0) std::memcpy(&out_.words[stack.first_word], payload.data() + sizeof fixed, count * 8);
    return true;
  }

  bool label(Bytes payload) {
    if (payload.size() < sizeof(LabelRecord)) return false;
    const auto fixed = read_at<LabelRecord>(payload);
    if (fixed.id == 0 || !make_place(out_.labels, fixed.id)) return false;
    out_.labels[fixed.id] = {true, static_cast<LabelKind>(fixed.kind), fixed.name, fixed.address};
    return true;
  }

  bool oom(Bytes payload) {
    if (payload.size() < sizeof(OomRecord)) return false;
    Oom oom;
    oom.record = read_at<OomRecord>(payload);
    const std::size_t room = (payload.size() - sizeof(OomRecord)) / sizeof(Block);
    if (oom.record.blocks > room) return false;
    oom.blocks.resize(oom.record.blocks);
    if (!oom.blocks.empty())
      std::memcpy(oom.blocks.data(), payload.data() + sizeof(OomRecord), oom.blocks.size() * sizeof(Block));
    out_.ooms.push_back(std::move(oom));
    return true;
  }

  bool context(Bytes payload) {
    if (payload.size() < sizeof(ContextRecord)) return false;
    out_.contexts.push_back(read_at<ContextRecord>(payload));
    return true;
  }

  bool note(Bytes payload) {
    if (payload.size() < sizeof(NoteRecord)) return false;
    const auto fixed = read_at<NoteRecord>(payload);
    const std::string& key = out_.string(fixed.key);
    if (key.empty()) return false;
    out_.notes.push_back({key, fixed.n, text_of(payload.subspan(sizeof fixed))});
    return true;
  }

  bool heap_graph(Bytes payload) {
    HeapGraph graph;
    if (!read_heap_graph(payload, graph)) return false;
    const bool whole = !graph.damaged;
    out_.graphs.push_back(std::move(graph));
    return whole;
  }

  // ---- tables ------------------------------------------------------------------------------------------------------

  void tables() {
    const auto header = read_at<Header>(bytes_, sizeof(ExtentHeader));  // its accounts may be newer than the first copy
    for (const Account& account : header.accounts) out_.accounts.push_back(account);
    while (!out_.accounts.empty() && out_.accounts.back().used != 1) out_.accounts.pop_back();
    for (Account& account : out_.accounts)
      if (account.used != 1 || account.layer > 1) account.used = 0;
    for (const Part& part : sites_) {
      if (part.ordinal >= extents_in_file_) {
        warn_once("an extent is cut off or damaged");
        continue;
      }
      const std::size_t first = part.ordinal * sites_per_extent;
      const std::size_t count = std::min(sites_per_extent, part.payload.size() / sizeof(Site));
      for (std::size_t i = 0; i < count; ++i) {
        auto site = read_at<Site>(part.payload, i * sizeof(Site));
        if (site.used != 1 || site.layer > 1) continue;
        if (first + i >= out_.sites.size()) out_.sites.resize(first + i + 1);
        out_.sites[first + i] = site;
      }
    }
  }

  // The tensor layer has one kind of memory and therefore one account in the file; here it has both, as other layers.
  void add_block_accounts() {
    for (std::size_t i = 0, count = out_.accounts.size(); i < count; ++i) {
      Account account = out_.accounts[i];
      if (account.used != 1 || account.layer != static_cast<std::uint8_t>(Layer::tensor) ||
          account.kind != static_cast<std::uint8_t>(Kind::all))
        continue;
      account.kind = static_cast<std::uint8_t>(Kind::block);
      out_.accounts.push_back(account);
    }
  }

  // ---- events that wait to be booked -------------------------------------------------------------------------------

  // A running process may have booked some of them while the tables were read: then its last events are left out.
  std::vector<Waiting> pending_events(const std::map<std::int16_t, BookingState>& before) {
    std::vector<Bytes> payloads;
    for (const Part& part : pending_) payloads.push_back(part.payload);
    bool whole = true;
    std::vector<Waiting> waiting = waiting_events(payloads, out_.header.version, before, whole);
    if (!whole) warn_once("an extent is cut off or damaged");
    auto after = booking_states(bytes_);
    std::erase_if(waiting, [&](const Waiting& events) {
      const auto known = before.find(events.device);
      return known == before.end() ? after.count(events.device) != 0 : known->second != after[events.device];
    });
    return waiting;
  }

  void live_blocks() {
    std::size_t possible = 0;
    for (const Part& part : blocks_) possible += part.payload.size() / sizeof(Block);
    out_.blocks.reserve(std::min<std::size_t>(possible, out_.header.block_slots));
    for (const Part& part : blocks_) {
      const std::size_t count = std::min(blocks_per_extent, part.payload.size() / sizeof(Block));
      for (std::size_t i = 0; i < count; ++i) {
        const std::byte* const at = part.payload.data() + i * sizeof(Block);
        auto block = read_at<Block>(part.payload, i * sizeof(Block));
        if (block.address == 0) continue;
        // In a running process the slot may change while it is copied.
        std::atomic_thread_fence(std::memory_order_acquire);
        std::uint64_t again;
        std::memcpy(&again, at, sizeof again);
        if (again != block.address) continue;
        if (block.site >= out_.sites.size() || out_.sites[block.site].used != 1) {
          torn("a block of an unknown call site was skipped");
          continue;
        }
        out_.blocks.push_back(block);
      }
    }
  }

  void timeline(Bytes payload) {
    constexpr std::size_t head = offsetof(Timeline, points);
    if (payload.size() < head) return;
    TimelineSeries series;
    series.account = read_at<std::uint32_t>(payload, offsetof(Timeline, account));
    series.interval = read_at<std::uint64_t>(payload, offsetof(Timeline, interval));
    std::size_t count = read_at<std::uint32_t>(payload, offsetof(Timeline, count));
    if (series.account >= out_.accounts.size() || out_.accounts[series.account].used != 1 || count > timeline_points)
      return torn("a time series is damaged");
    count = std::min(count, (payload.size() - head) / sizeof(TimelinePoint));
    series.points.resize(count);
    if (count != 0) std::memcpy(series.points.data(), payload.data() + head, count * sizeof(TimelinePoint));
    out_.timelines.push_back(std::move(series));
  }

  void finish() {
    std::stable_sort(out_.ooms.begin(), out_.ooms.end(),
                     [](const Oom& a, const Oom& b) { return a.record.n < b.record.n; });
    out_.index_modules();
    if (out_.header.extents > bytes_.size() / extent_bytes)
      out_.warnings.push_back("the file is shorter than it was (" + std::to_string(bytes_.size()) +
                              " bytes): what stood behind is missing");
    if (parts_ == Parts::all)
      for (std::string& what : contradictions(out_)) out_.warnings.push_back(std::move(what));
    for (const std::string& what : order_)
      out_.warnings.push_back(what + (warned_[what] == 1 ? "" : " (" + std::to_string(warned_[what]) + " times)"));
  }

  Bytes bytes_;
  const Parts parts_;
  TraceFile out_;
  std::size_t extents_in_file_ = 0;
  std::size_t max_id_ = 0;
  LogPosition position_ = 0;
  std::vector<Part> logs_, sites_, blocks_, timelines_, pending_;
  std::map<std::uint32_t, std::size_t> modules_by_id_;
  std::map<std::string, std::uint64_t> warned_;
  std::vector<std::string> order_;
};

}  // namespace

Header check_header(Bytes bytes, const std::string& path) {
  const auto fail = [&path](std::uint64_t offset, std::string what, std::string fix) {
    throw TraceError(path, offset, std::move(what), std::move(fix));
  };
  constexpr std::size_t at = sizeof(ExtentHeader);
  if (bytes.size() < at + sizeof magic || std::memcmp(bytes.data() + at, magic, sizeof magic) != 0)
    fail(std::min<std::uint64_t>(at, bytes.size()), "is not a vramtrack trace", "name a .vtrace file");
  if (bytes.size() < at + sizeof(Header))
    fail(bytes.size(), "the header is cut off", "nothing can be read from it; copy the file again from its source");
  const auto header = read_at<Header>(bytes, at);
  if (header.version > format_version)
    fail(at + offsetof(Header, version),
         "has trace format " + std::to_string(header.version) + ", newer than this program's " +
             std::to_string(format_version),
         "use the vramtrack that wrote it, or a newer one");
  if (header.version == 0)
    fail(at + offsetof(Header, version), "has no valid trace format", "copy the file again from its source");
  return header;
}

TraceFile read_trace(std::span<const std::byte> bytes, const std::string& path) {
  TraceFile trace = Reader(bytes, path, Parts::all).read();
  trace.owner = ::geteuid();
  return trace;
}

TraceFile read_trace(const std::string& path, Whose whose) {
  const MappedInput input(path, whose);
  TraceFile trace = read_trace(input.bytes(), path);
  trace.owner = input.owner();
  return trace;
}

TraceFile read_counters(const std::string& path) {
  const MappedInput input(path);
  TraceFile trace = Reader(input.bytes(), path, Parts::counters).read();
  trace.owner = input.owner();
  return trace;
}

}  // namespace vramtrack::trace
