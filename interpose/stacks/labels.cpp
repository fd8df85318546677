// See labels.hpp.
//
// A module may die and another take its address: of another class, it gets a number of its own, since the class is
// compared as well. Of the same class, it goes by the same number, and what the agent says last is its name.
#include "interpose/stacks/labels.hpp"

#include <cstring>

#include "interpose/core/hot.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/core/tag_table.hpp"
#include "interpose/stacks/state.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::stacks {

VRAMTRACK_HOT constinit std::atomic<const std::byte*> g_module_call_code{nullptr};
VRAMTRACK_HOT constinit ModuleCall g_module_call{};

namespace {

// Open addressing, read without a lock; never more than half full, since numbers are bounded.
struct Entry {
  std::atomic<std::uint64_t> module;  // stored last
  std::uint64_t type;
  std::uint32_t label;
};
constexpr std::size_t table_size = 2 * (std::size_t{max_labels} + 1);

SpinLock g_lock;  // all below
std::atomic<Entry*> g_table{nullptr};
std::uint64_t* g_addresses = nullptr;  // of the numbered modules, then their types
std::uint32_t g_labels = 0;            // records written

// Names of ranges, by the number of their string in the trace.
struct Range {
  std::uint32_t name, pattern, label;
};
constexpr std::uint32_t max_ranges = 1024, max_alike = 64;
Range* g_ranges = nullptr;
std::uint32_t g_range_count = 0;

std::size_t slot_of(std::uint64_t module, std::uint64_t type) noexcept {
  return static_cast<std::size_t>(mix64(module ^ (type << 20 | type >> 44)) >> 32) % table_size;
}

/// The entry, or the empty place where it belongs.
Entry& place_of(Entry* table, std::uint64_t module, std::uint64_t type) noexcept {
  for (std::size_t i = slot_of(module, type);; i = (i + 1) % table_size) {
    const std::uint64_t at = table[i].module.load(std::memory_order_acquire);
    if (at == 0 || (at == module && table[i].type == type)) return table[i];
  }
}

/// The next number, under which a record was written; no_label: it could not be.
std::uint32_t record(trace::LabelKind kind, std::uint64_t address, std::uint32_t name) noexcept {
  trace::Writer* const writer = trace::active();
  if (writer == nullptr || g_labels >= max_labels) return no_label;
  const trace::LabelRecord fixed{g_labels + 1, static_cast<std::uint32_t>(kind), name, 0, address};
  if (!writer->append(trace::RecordType::label, &fixed, sizeof fixed, nullptr, 0)) return no_label;
  return ++g_labels;
}

/// The name of a class, which lives as long as the class; a renamed one's old name may be gone, so nothing is trusted.
std::uint32_t intern_class_name(const Python& python, const std::byte* type) noexcept {
  trace::Writer* const writer = trace::active();
  const char* name = nullptr;
  if (!safe_read(type + python.layout.type_name, &name, sizeof name)) return 0;
  char text[128];
  std::size_t bytes = 0;
  while (bytes < sizeof text && safe_read(name + bytes, text + bytes, 1) && text[bytes] != 0) ++bytes;
  return writer == nullptr ? 0 : writer->intern({text, bytes});
}

[[gnu::noinline]] std::uint32_t new_module(const Python& python, const std::byte* module,
                                           const std::byte* type) noexcept {
  const auto address = reinterpret_cast<std::uint64_t>(module), class_address = reinterpret_cast<std::uint64_t>(type);
  const LockGuard guard(g_lock);
  Entry* table = g_table.load(std::memory_order_relaxed);
  if (table == nullptr) {
    table = static_cast<Entry*>(map_pages(table_size * sizeof(Entry)));
    if (g_addresses == nullptr)
      g_addresses = static_cast<std::uint64_t*>(map_pages(2 * std::size_t{max_labels} * sizeof *g_addresses));
    if (table == nullptr || g_addresses == nullptr) return no_label;
    g_table.store(table, std::memory_order_release);
  }
  Entry& entry = place_of(table, address, class_address);
  if (entry.module.load(std::memory_order_relaxed) != 0) return entry.label;  // another thread was faster
  const std::uint32_t name = intern_class_name(python, type);
  const std::uint32_t label = name == 0 ? no_label : record(trace::LabelKind::module, address, name);
  if (label == no_label) return no_label;
  g_addresses[label - 1] = address;
  g_addresses[max_labels + label - 1] = class_address;
  entry.type = class_address;
  entry.label = label;
  entry.module.store(address, std::memory_order_release);
  return label;
}

bool ends_with(std::string_view text, std::string_view end) noexcept {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

void note_code(const Python& python, const std::byte* code, std::string_view name, std::string_view file) noexcept {
  const bool wrapped = name == "_wrapped_call_impl";
  if (!wrapped && name != "_call_impl") return;
  if (!ends_with(file, "torch/nn/modules/module.py")) return;
  // Where there are both, every call goes through both.
  if (g_module_call_code.load(std::memory_order_relaxed) != nullptr) return;
  const PythonLayout& l = python.layout;
  ModuleCall call{l.locals, !wrapped};
  if (l.interpreter_frames) {
    // A cell, if it is one, takes the argument's place.
  } else if (const auto* const cells = read_at<const std::int64_t*>(code, l.cell_to_argument); cells != nullptr) {
    // Before 3.11 the cells stand behind the local variables, and the argument's own place is empty.
    const auto cell_count = read_at<std::size_t>(read_at<const std::byte*>(code, l.cell_names), l.var_size);
    for (std::size_t i = 0; i < cell_count; ++i) {
      if (cells[i] != 0) continue;
      const auto local_count = static_cast<std::uint32_t>(read_at<std::int32_t>(code, l.local_count));
      call.slot = l.locals + 8 * (local_count + static_cast<std::uint32_t>(i));
      break;
    }
  }
  g_module_call = call;
  g_module_call_code.store(code, std::memory_order_release);
}

void forget_code(const std::byte* code) noexcept {
  const std::byte* expected = code;
  g_module_call_code.compare_exchange_strong(expected, nullptr);
}

std::uint32_t module_label(const Python& python, const std::byte* module) noexcept {
  if (module == nullptr) return no_label;
  const auto* const type = read_at<const std::byte*>(module, python.layout.object_type);
  if (Entry* const table = g_table.load(std::memory_order_acquire)) {
    const Entry& entry =
        place_of(table, reinterpret_cast<std::uint64_t>(module), reinterpret_cast<std::uint64_t>(type));
    if (entry.module.load(std::memory_order_acquire) != 0) return entry.label;
  }
  return new_module(python, module, type);
}

std::uint32_t range_label(const char* text) noexcept {
  trace::Writer* const writer = trace::active();
  if (writer == nullptr || text == nullptr) return no_label;
  char pattern[256];
  std::size_t bytes = 0;
  const std::size_t given = ::strnlen(text, sizeof pattern);
  for (std::size_t i = 0; i < given; ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (digit && bytes > 0 && pattern[bytes - 1] == '#') continue;
    pattern[bytes++] = digit ? '#' : text[i];
  }
  const std::uint32_t name = writer->intern({text, given});
  const LockGuard guard(g_lock);
  if (g_ranges == nullptr) g_ranges = static_cast<Range*>(map_pages(max_ranges * sizeof *g_ranges));
  if (g_ranges == nullptr || name == 0) return no_label;
  for (std::uint32_t i = 0; i < g_range_count; ++i)
    if (g_ranges[i].name == name) return g_ranges[i].label;
  const std::uint32_t alike = writer->intern({pattern, bytes});
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < g_range_count; ++i) {
    if (g_ranges[i].name == alike) return g_ranges[i].label;
    if (g_ranges[i].pattern == alike) ++count;
  }
  if (g_range_count == max_ranges) return no_label;
  const std::uint32_t chosen = count < max_alike ? name : alike;
  const std::uint32_t label = record(trace::LabelKind::range, 0, chosen);
  if (label != no_label) g_ranges[g_range_count++] = {chosen, alike, label};
  return label;
}

bool labelled_module(std::uint32_t label, std::uint64_t& address, std::uint64_t& type) noexcept {
  const LockGuard guard(g_lock);
  if (label == no_label || label > g_labels) return false;
  address = g_addresses == nullptr ? 0 : g_addresses[label - 1];
  type = g_addresses == nullptr ? 0 : g_addresses[max_labels + label - 1];
  return true;
}

void unlock_labels() noexcept { g_lock.reset(); }

void forget_labels() noexcept {
  const LockGuard guard(g_lock);
  // Left behind: to empty them would copy their pages into the child.
  g_table.store(nullptr, std::memory_order_relaxed);
  g_addresses = nullptr;
  g_labels = g_range_count = 0;
}

}  // namespace vramtrack::stacks
