// See stack_table.hpp.
#include "interpose/stacks/stack_table.hpp"

#include <atomic>
#include <cstring>

#include "interpose/core/lock.hpp"
#include "interpose/core/memory.hpp"
#include "interpose/stacks/check.hpp"
#include "interpose/stacks/ip_table.hpp"
#include "interpose/stacks/modules.hpp"
#include "interpose/stacks/state.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::stacks {
namespace {

// Open addressing; `id_plus_one` is stored last. Smaller predecessors stay mapped: readers may be in them.
struct Entry {
  std::atomic<std::uint64_t> a, b;
  std::atomic<std::uint32_t> id_plus_one;
};
struct Table {
  std::size_t mask;
  Entry entries[1];
};

SpinLock g_lock;
std::atomic<Table*> g_table{nullptr};
std::uint32_t g_next_id = 0;
std::uint64_t g_words[max_python + max_native];  // the record being written

void put(Table* table, std::uint64_t a, std::uint64_t b, std::uint32_t id) noexcept {
  std::size_t i = static_cast<std::size_t>(Hash128{a, b}.index()) & table->mask;
  while (table->entries[i].id_plus_one.load(std::memory_order_relaxed) != 0) i = (i + 1) & table->mask;
  table->entries[i].a.store(a, std::memory_order_relaxed);
  table->entries[i].b.store(b, std::memory_order_relaxed);
  table->entries[i].id_plus_one.store(id + 1, std::memory_order_release);
}

Table* room_for_one() noexcept {
  Table* const table = g_table.load(std::memory_order_relaxed);
  if (table != nullptr && 2 * std::size_t{g_next_id} < table->mask) return table;
  const std::size_t size = table == nullptr ? 8192 : 2 * (table->mask + 1);
  auto* const larger = static_cast<Table*>(map_pages(sizeof(Table) + size * sizeof(Entry)));
  if (larger == nullptr) return nullptr;
  larger->mask = size - 1;
  for (std::size_t i = 0; table != nullptr && i <= table->mask; ++i) {
    const Entry& from = table->entries[i];
    const std::uint32_t id = from.id_plus_one.load(std::memory_order_relaxed);
    if (id != 0) put(larger, from.a.load(std::memory_order_relaxed), from.b.load(std::memory_order_relaxed), id - 1);
  }
  g_table.store(larger, std::memory_order_release);
  return larger;
}

}  // namespace

StackId find_stack(const Hash128& hash) noexcept {
  const Table* const table = g_table.load(std::memory_order_acquire);
  if (table == nullptr) return no_stack;
  for (std::size_t i = static_cast<std::size_t>(hash.index()) & table->mask;; i = (i + 1) & table->mask) {
    const Entry& entry = table->entries[i];
    const std::uint32_t id = entry.id_plus_one.load(std::memory_order_acquire);
    if (id == 0) return no_stack;
    if (entry.a.load(std::memory_order_relaxed) == hash.a && entry.b.load(std::memory_order_relaxed) == hash.b)
      return StackId{id - 1};
  }
}

[[gnu::noinline]] StackId add_stack(const Hash128& hash, const std::uint64_t* python, std::uint32_t python_frames,
                                    const std::uint64_t* native, std::uint32_t native_frames,
                                    const StackMarks& marks) noexcept {
  trace::Writer* const writer = trace::active();
  if (writer == nullptr) return no_stack;
  for (std::uint32_t i = 0; i < native_frames; ++i) record_module(ip_info(native[i]).module);
  const LockGuard guard(g_lock);
  const StackId known = find_stack(hash);
  if (known != no_stack) return known;  // another thread was faster
  Table* const table = room_for_one();
  const trace::StackRecord record{StackId{g_next_id},
                                  static_cast<std::uint16_t>(python_frames),
                                  static_cast<std::uint16_t>(native_frames),
                                  marks.flags,
                                  marks.module,
                                  marks.range};
  // A part that is empty may be null, which memcpy may not be given.
  if (python_frames != 0) std::memcpy(g_words, python, python_frames * sizeof *python);
  if (native_frames != 0) std::memcpy(g_words + python_frames, native, native_frames * sizeof *native);
  if (table == nullptr || !writer->append(trace::RecordType::stack, &record, sizeof record, g_words,
                                          (python_frames + native_frames) * sizeof *g_words)) {
    std::atomic_ref(writer->header().losses.dropped_stacks).fetch_add(1, std::memory_order_relaxed);
    return no_stack;
  }
  if (g_options.check) check_remember(StackId{g_next_id}, python, python_frames, native, native_frames, marks.module);
  put(table, hash.a, hash.b, g_next_id);
  std::atomic_ref losses_truncated(writer->header().losses.truncated_stacks);
  if ((marks.flags & trace::stack_truncated) != 0) losses_truncated.fetch_add(1, std::memory_order_relaxed);
  std::atomic_ref losses_unreadable(writer->header().losses.python_unreadable);
  if ((marks.flags & trace::stack_python_unreadable) != 0) losses_unreadable.fetch_add(1, std::memory_order_relaxed);
  return StackId{g_next_id++};
}

void unlock_stack_table() noexcept { g_lock.reset(); }

void forget_stacks() noexcept {
  const LockGuard guard(g_lock);
  Table* const table = g_table.load(std::memory_order_relaxed);
  if (table != nullptr) {
    for (std::size_t i = 0; i <= table->mask; ++i) table->entries[i].id_plus_one.store(0, std::memory_order_relaxed);
  }
  g_next_id = 0;
}

}  // namespace vramtrack::stacks
