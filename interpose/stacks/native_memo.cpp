// See native_memo.hpp.
#include "interpose/stacks/native_memo.hpp"

#include <cstring>

#include "interpose/core/tag_table.hpp"
#include "interpose/stacks/ip_table.hpp"

namespace vramtrack::stacks {
namespace {

// Words of frames that are still running, and of what lies between their variables: no business of AddressSanitizer's.
__attribute__((no_sanitize("address"))) std::uint64_t word_at(std::uintptr_t address) noexcept {
  std::uint64_t value;
  __builtin_memcpy(&value, reinterpret_cast<const void*>(address), sizeof value);
  return value;
}

std::uint64_t root_hash(const CaptureStart& start, const Hash128& python) noexcept {
  return mix64(start.sp ^ start.ip * 0x9e3779b97f4a7c15ull ^ python.a ^ (python.b << 17 | python.b >> 47));
}

std::uint64_t child_hash(std::uint32_t parent, std::uint32_t index, std::uint64_t value) noexcept {
  return mix64(value ^ (std::uint64_t{parent} << 32 | index) * 0x9e3779b97f4a7c15ull);
}

template <class Matches>
std::uint32_t find(const ReadSets& sets, std::uint64_t hash, Matches&& matches) noexcept {
  const std::size_t mask = sets.table_size - 1;
  for (std::size_t i = hash & mask;; i = (i + 1) & mask) {
    const std::uint64_t entry = sets.table[i];
    if (entry == 0) return no_record;
    const auto record = static_cast<std::uint32_t>(entry) - 1;
    if (entry >> 32 == hash >> 32 && matches(sets.record[record])) return record;
  }
}

/// The first word from `from` on that does not hold what the record says; its count when all do.
std::uint32_t compare(const ReadGroup* groups, std::uint32_t from, std::uint32_t count, std::uintptr_t sp,
                      bool ahead) noexcept {
  const auto differs = [sp](const ReadGroup& group, std::uint32_t at) {
    return word_at(sp + std::uintptr_t{group.offset[at]} * 8) ^ group.value[at];
  };
  std::uint32_t i = from;
  if (ahead) {
    // Eight at a time; within the thread's own stack, words beyond the one that differs can be read as well.
    for (i &= ~7u; i < count; i += 8) {
      const ReadGroup& g = groups[i / 8];
      const std::uint64_t any = (differs(g, 0) | differs(g, 1)) | (differs(g, 2) | differs(g, 3)) |
                                ((differs(g, 4) | differs(g, 5)) | (differs(g, 6) | differs(g, 7)));
      if (any != 0) break;
    }
    if (i >= count) [[likely]]
      return count;
    if (i < from) i = from;
  }
  // One at a time, in the order of unwinding: nothing is read that unwinding would not read.
  while (i < count && differs(groups[i / 8], i % 8) == 0) ++i;
  return i;
}

/// `record` has matched: what came after it last time is expected again.
void expect_after(ReadSets& sets, std::uint32_t record) noexcept {
  const ReadRecord& now = sets.record[record];
  sets.last_match = record;
  sets.expected = now.next;
  sets.expected_groups = now.next_groups;
}

void matched(ReadSets& sets, std::uint32_t record) noexcept {
  ReadRecord& now = sets.record[record];
  if (sets.last_match != no_record) {
    sets.record[sets.last_match].next = record;
    sets.record[sets.last_match].next_groups = now.groups;
  }
  expect_after(sets, record);
}

std::uint64_t hash_of(const ReadRecord& record) noexcept {
  return record.parent == no_record ? root_hash({record.ip, record.sp, record.bp}, record.python)
                                    : child_hash(record.parent, record.index, record.value);
}

void put(ReadSets& sets, std::uint32_t record) noexcept {
  const std::uint64_t hash = hash_of(sets.record[record]);
  const std::size_t mask = sets.table_size - 1;
  std::size_t i = hash & mask;
  while (sets.table[i] != 0) i = (i + 1) & mask;
  sets.table[i] = hash >> 32 << 32 | (record + 1);
}

/// Whether all words of a record's list are the thread's own.
bool can_look_ahead(const ThreadState& state, const CaptureStart& start, const ReadRecord& record) noexcept {
  return start.sp >= state.stack_low && start.sp < state.stack_high &&
         start.sp + std::uintptr_t{record.reach} * 8 + 8 <= state.stack_high;
}

/// Through the table, from the record of the start over those that branched off from it.
[[gnu::noinline]] ReadRecord* search(const ThreadState& state, const CaptureStart& start,
                                     const Hash128& python) noexcept {
  ReadSets& sets = *state.read_sets;
  if (sets.records == 0) return nullptr;
  std::uint32_t at = find(sets, root_hash(start, python), [&](const ReadRecord& r) {
    return r.parent == no_record && r.sp == start.sp && r.ip == start.ip && r.python == python;
  });
  std::uint32_t from = 0;
  while (at != no_record) {
    ReadRecord& record = sets.record[at];
    const ReadGroup* const groups = sets.group + record.groups;
    sets.last_record = at;
    std::uint32_t i = from;  // the words before it are known to match
    if (record.uses_bp && record.bp != start.bp) {
      sets.last_index = bp_index;
      sets.last_value = start.bp;
    } else {
      i = compare(groups, from, record.count, start.sp, can_look_ahead(state, start, record));
      if (i == record.count) {
        matched(sets, at);
        return &record;
      }
      sets.last_index = i;
      sets.last_value = word_at(start.sp + std::uintptr_t{groups[i / 8].offset[i % 8]} * 8);
    }
    const std::uint32_t parent = at, index = sets.last_index;
    const std::uint64_t value = sets.last_value;
    at = find(sets, child_hash(parent, index, value),
              [&](const ReadRecord& r) { return r.parent == parent && r.index == index && r.value == value; });
    if (at != no_record) from = i < sets.record[at].resume ? i : sets.record[at].resume;
  }
  return nullptr;
}

}  // namespace

ReadRecord* recall(ThreadState& state, const CaptureStart& start, const Hash128& python) noexcept {
  ReadSets& sets = *state.read_sets;
  sets.last_record = no_record;
  // First the one that came next last time: no table, no detour over the records that it branched off from.
  if (const std::uint32_t guess = sets.expected; guess != no_record) [[likely]] {
    ReadRecord& record = sets.record[guess];
    if (record.sp == start.sp && record.ip == start.ip && record.python == python &&
        (!record.uses_bp || record.bp == start.bp) &&
        compare(sets.group + record.groups, 0, record.count, start.sp, can_look_ahead(state, start, record)) ==
            record.count) [[likely]] {
      expect_after(sets, guess);
      return &record;
    }
  }
  return search(state, start, python);
}

ReadRecord* learn(ThreadState& state, const CaptureStart& start, const Hash128& python, StackId stack) noexcept {
  ReadSets& sets = *state.read_sets;
  if (!sets.fresh_fits || stack == no_stack) return nullptr;
  const std::uint32_t groups = (sets.fresh_count + 7) / 8;
  if (sets.records == max_records || sets.groups + groups > max_groups) flush(sets);
  ReadRecord& record = sets.record[sets.records];
  record = {start.sp,         start.ip,         start.bp,  python, 0,     no_record,          0,    0, sets.groups,
            sets.fresh_count, sets.fresh_reach, no_record, 0,      stack, sets.fresh_uses_bp, false};
  std::memcpy(sets.group + sets.groups, sets.fresh, groups * sizeof(ReadGroup));
  if (sets.last_record != no_record) {
    const ReadRecord& parent = sets.record[sets.last_record];
    record.parent = sets.last_record;
    record.index = sets.last_index;
    record.value = sets.last_value;
    const std::uint32_t common = parent.count < record.count ? parent.count : record.count;
    const ReadGroup* const theirs = sets.group + parent.groups;
    const auto same = [theirs, &sets](std::uint32_t i) {
      return theirs[i / 8].offset[i % 8] == sets.fresh[i / 8].offset[i % 8] &&
             theirs[i / 8].value[i % 8] == sets.fresh[i / 8].value[i % 8];
    };
    while (record.resume < common && same(record.resume)) ++record.resume;
  }
  sets.groups += groups;
  matched(sets, sets.records);
  ++sets.records;
  if (4 * sets.records > sets.table_size && sets.table_size < max_table) {
    std::memset(sets.table, 0, sets.table_size * sizeof *sets.table);
    sets.table_size *= 2;
    for (std::uint32_t i = 0; i < sets.records; ++i) put(sets, i);
  } else {
    put(sets, sets.records - 1);
  }
  sets.last_record = no_record;
  return &record;
}

void flush(ReadSets& sets) noexcept {
  if (sets.records > 0) std::memset(sets.table, 0, sets.table_size * sizeof *sets.table);
  sets.table_size = first_table;
  sets.records = 0;
  sets.last_match = sets.expected = no_record;
  sets.groups = 0;
  sets.last_record = no_record;
  ++sets.flushes;
}

}  // namespace vramtrack::stacks
