// See python_code.hpp.
//
// Why an id is never wrong: a code object that a thread finds on its own frame chain is alive (the frame owns a
// reference). Its address got its id either during this life of the object, or during an earlier object's life at the
// same address; the earlier one's death went through code_died(), before its memory was given back, and that cleared
// the id. Both happened before the new object was made, and so before this thread could run it.
#include "interpose/stacks/python_code.hpp"

#include <string_view>

#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/stacks/labels.hpp"
#include "interpose/stacks/state.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::stacks {
namespace {

// Open addressing, read without a lock. Entries are never removed (a dead object's keeps its place, with id no_code:
// its address is likely to come back), so a probe ends at the first empty one. When it is half full, one of twice the
// size takes over; the old ones stay mapped, since readers may still be in them.
struct Entry {
  std::atomic<std::uint64_t> code;
  std::atomic<std::uint32_t> id;
};
struct Table {
  std::size_t mask;
  std::size_t used;
  Entry entries[1];
};

SpinLock g_lock;
std::atomic<Table*> g_table{nullptr};
std::uint32_t g_next_id = 0;
void (*g_dealloc)(void*) = nullptr;

std::size_t slot_of(std::uint64_t code, std::size_t mask) noexcept {
  return static_cast<std::size_t>((code >> 4) * 0x9e3779b97f4a7c15ull >> 20) & mask;
}

Entry* find(Table* table, std::uint64_t code) noexcept {
  for (std::size_t i = slot_of(code, table->mask);; i = (i + 1) & table->mask) {
    const std::uint64_t at = table->entries[i].code.load(std::memory_order_acquire);
    if (at == code) return &table->entries[i];
    if (at == 0) return nullptr;
  }
}

Table* make_table(std::size_t size) noexcept {
  auto* const table = static_cast<Table*>(map_pages(sizeof(Table) + size * sizeof(Entry)));
  if (table != nullptr) table->mask = size - 1;
  return table;
}

void put(Table* table, std::uint64_t code, std::uint32_t id) noexcept {
  std::size_t i = slot_of(code, table->mask);
  while (table->entries[i].code.load(std::memory_order_relaxed) != 0) i = (i + 1) & table->mask;
  table->entries[i].id.store(id, std::memory_order_relaxed);
  table->entries[i].code.store(code, std::memory_order_release);
  ++table->used;
}

// A code object is about to be freed (with the GIL held, or in a free-threaded build without).
void code_died(void* code) noexcept {
  forget_code(static_cast<const std::byte*>(code));
  Table* const table = g_table.load(std::memory_order_acquire);
  if (table != nullptr && find(table, reinterpret_cast<std::uint64_t>(code)) != nullptr) {
    const LockGuard guard(g_lock);  // not to lose the mark to a table that is being copied
    Entry* const entry = find(g_table.load(std::memory_order_acquire), reinterpret_cast<std::uint64_t>(code));
    if (entry != nullptr && entry->id.exchange(no_code, std::memory_order_release) != no_code)
      g_code_generation.fetch_add(1, std::memory_order_release);
  }
  g_dealloc(code);
}

// ---- str to UTF-8 ----------------------------------------------------------------------------------------------

struct Utf8 {
  char* at;
  char* end;
  void put(std::uint32_t c) noexcept {
    if (end - at < 4) return;
    const auto byte = [this](std::uint32_t value) { *at++ = static_cast<char>(value); };
    if (c >= 0xdc80 && c <= 0xdcff) return byte(c - 0xdc00);  // surrogateescape: a raw byte of a file name
    if (c >= 0xd800 && c <= 0xdfff) c = 0xfffd;
    if (c < 0x80) return byte(c);
    if (c < 0x800) return byte(0xc0 | c >> 6), byte(0x80 | (c & 0x3f));
    if (c < 0x10000) return byte(0xe0 | c >> 12), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f));
    byte(0xf0 | c >> 18), byte(0x80 | (c >> 12 & 0x3f)), byte(0x80 | (c >> 6 & 0x3f)), byte(0x80 | (c & 0x3f));
  }
};

/// A str as UTF-8: its own bytes where it is plain ASCII, else in `buffer`.
template <std::size_t size>
std::string_view text_of(const PythonLayout& l, const std::byte* text, char (&buffer)[size]) noexcept {
  if (text == nullptr) return {};
  const auto length = read_at<std::size_t>(text, l.var_size);
  const auto state = read_at<std::uint32_t>(text, l.string_state);
  const bool compact = (state >> 5 & 1) != 0, ascii = (state >> 6 & 1) != 0;
  const std::uint32_t kind = state >> 2 & 7;
  if (!compact) return "?";  // a legacy str of before 3.12: never a name or file of a code object
  if (ascii) return {reinterpret_cast<const char*>(text + l.ascii_data), length};
  Utf8 out{buffer, buffer + size};
  const std::byte* const data = text + l.compact_data;
  for (std::size_t i = 0; i < length; ++i) {
    if (kind == 1) out.put(read_at<std::uint8_t>(data, i));
    if (kind == 2) out.put(read_at<std::uint16_t>(data, 2 * i));
    if (kind == 4) out.put(read_at<std::uint32_t>(data, 4 * i));
  }
  return {buffer, static_cast<std::size_t>(out.at - buffer)};
}

bool record_code(const Python& python, const std::byte* code, std::uint32_t id) noexcept {
  trace::Writer* const writer = trace::active();
  if (writer == nullptr) return false;
  const PythonLayout& l = python.layout;
  trace::CodeRecord record{};
  record.id = id;
  char file_buffer[4096], name_buffer[1024];
  const std::string_view file = text_of(l, read_at<const std::byte*>(code, l.file), file_buffer);
  const std::string_view name = text_of(l, read_at<const std::byte*>(code, l.name), name_buffer);
  record.file = writer->intern(file);
  record.name = writer->intern(name);
  note_code(python, code, name, file);
  if (l.qualname >= 0) {
    const auto* const qualname = read_at<const std::byte*>(code, static_cast<std::size_t>(l.qualname));
    record.qualname = writer->intern(text_of(l, qualname, name_buffer));
  }
  record.first_line = read_at<std::int32_t>(code, l.first_line);
  record.version = l.version;
  const auto* const lines = read_at<const std::byte*>(code, l.line_table);
  record.line_table_bytes = static_cast<std::uint32_t>(read_at<std::size_t>(lines, l.var_size));
  return writer->append(trace::RecordType::code, &record, sizeof record, lines + l.bytes_data, record.line_table_bytes);
}

[[gnu::noinline]] std::uint32_t new_code(const Python& python, const std::byte* code) noexcept {
  const auto address = reinterpret_cast<std::uint64_t>(code);
  const LockGuard guard(g_lock);
  Table* table = g_table.load(std::memory_order_acquire);
  Entry* entry = table != nullptr ? find(table, address) : nullptr;
  if (entry != nullptr && entry->id.load(std::memory_order_relaxed) != no_code)
    return entry->id.load(std::memory_order_relaxed);  // another thread was faster
  if (table == nullptr || (entry == nullptr && 2 * table->used > table->mask)) {
    Table* const larger = make_table(table == nullptr ? 4096 : 2 * (table->mask + 1));
    if (larger == nullptr) return no_code;
    for (std::size_t i = 0; table != nullptr && i <= table->mask; ++i) {
      const std::uint64_t known = table->entries[i].code.load(std::memory_order_relaxed);
      const std::uint32_t id = table->entries[i].id.load(std::memory_order_relaxed);
      if (known != 0 && id != no_code) put(larger, known, id);
    }
    table = larger;
    g_table.store(table, std::memory_order_release);
  }
  if (!record_code(python, code, g_next_id)) return no_code;
  const std::uint32_t id = g_next_id++;
  if (entry != nullptr) {
    entry->id.store(id, std::memory_order_release);
  } else {
    put(table, address, id);
  }
  return id;
}

}  // namespace

void watch_code_objects(const Python& python) noexcept {
  auto* const slot = reinterpret_cast<std::atomic<void (*)(void*)>*>(
      const_cast<std::byte*>(static_cast<const std::byte*>(python.code_type)) + python.layout.type_dealloc);
  g_dealloc = slot->load(std::memory_order_relaxed);
  slot->store(code_died, std::memory_order_release);
}

std::uint32_t code_id(const Python& python, const std::byte* code) noexcept {
  Table* const table = g_table.load(std::memory_order_acquire);
  if (table != nullptr) {
    const Entry* const entry = find(table, reinterpret_cast<std::uint64_t>(code));
    if (entry != nullptr) {
      const std::uint32_t id = entry->id.load(std::memory_order_acquire);
      if (id != no_code) return id;
    }
  }
  return new_code(python, code);
}

void unlock_code_objects() noexcept { g_lock.reset(); }

void forget_code_objects() noexcept {
  const LockGuard guard(g_lock);
  Table* const table = g_table.load(std::memory_order_relaxed);
  if (table != nullptr) {
    for (std::size_t i = 0; i <= table->mask; ++i) table->entries[i].code.store(0, std::memory_order_relaxed);
    table->used = 0;
  }
  g_next_id = 0;
}

}  // namespace vramtrack::stacks
