// The read-set memo: recognises a native stack without unwinding it.
//
// Unwinding is a deterministic function of the start (ip, sp, bp) and of the stack words that it reads: return
// addresses, and saved frame pointers that an outer frame's rule uses. For each stack that was unwound, a record keeps
// the list of those words, (offset from sp, value), and the id of the whole stack. If the start and every listed word
// are equal again, unwinding would read the same words and come to the same frames; so comparing is enough. Nothing
// needs to be known about whether it is "the same call". It holds as long as the rules of the addresses do not change:
// all is dropped when libraries come or go.
//
// Where a record fails to match at its word i, which now holds v, a child record found by (record, i, v) goes on.
// Which saved frame pointers a list holds depends on the frames further out, so a child's list may differ from its
// parent's before i: it is compared from the first difference on.
//
// One per thread; only that thread touches it.
#pragma once

#include <cstdint>

#include "interpose/core/event.hpp"
#include "interpose/stacks/hash.hpp"
#include "interpose/stacks/state.hpp"
#include "interpose/stacks/unwind_rule.hpp"

namespace vramtrack::stacks {

/// Words of the list, eight at a time: offset from sp in words, and value. The last group of a list is filled up with
/// its last word.
struct ReadGroup {
  std::uint64_t value[8];
  std::uint16_t offset[8];
};

struct ReadRecord {
  std::uint64_t sp, ip, bp;
  Hash128 python;             // what else the id depends on
  std::uint64_t value;        // child: the word that the parent did not have
  std::uint32_t parent;       // or no_record
  std::uint32_t index;        // child: where the parent differed
  std::uint32_t resume;       // child: first word of its list that differs from the parent's
  std::uint32_t groups;       // first one in the pool
  std::uint32_t count;        // of words
  std::uint32_t reach;        // the largest offset in the list
  std::uint32_t next;         // the record that matched next, last time: programs repeat themselves
  std::uint32_t next_groups;  // its `groups`
  StackId stack;
  bool uses_bp;
  bool outside_nodes;  // no autograd node runs where this stack is: whether one does is a matter of its frames
};

inline constexpr std::uint32_t no_record = 0xffffffffu;
inline constexpr std::uint32_t bp_index = 0xffffffffu;  // ReadRecord::index of a child that differs in bp
inline constexpr std::uint32_t max_records = 8192;
inline constexpr std::uint32_t max_groups = 1 << 15;  // 2.5 MB
inline constexpr std::uint32_t max_table = 4 * max_records;
inline constexpr std::uint32_t first_table = 1024;  // small as long as it serves: it stays in the nearest caches
static_assert((max_table & (max_table - 1)) == 0 && max_table % first_table == 0);

/// One step of an unwinding: what it read to come from a frame to its caller.
struct UnwindStep {
  UnwindRule rule;
  std::uintptr_t cfa_at, return_at, bp_at;  // addresses read; 0: not read
  std::uint64_t cfa, return_address, bp;    // what was there
};

struct ReadSets {
  std::uint32_t records;
  std::uint32_t groups;
  std::uint32_t flushes;
  std::uint32_t table_size;
  std::uint32_t last_match;                 // or no_record
  std::uint32_t expected, expected_groups;  // last_match's `next`, or no_record
  // The place where the last search ended: parent of what is learnt next.
  std::uint32_t last_record, last_index;
  std::uint64_t last_value;
  // The list of the stack that was unwound last, not yet kept.
  std::uint32_t fresh_count;
  bool fresh_uses_bp, fresh_fits;
  std::uint32_t fresh_reach;
  ReadGroup fresh[(3 * max_native + 7) / 8];
  UnwindStep step[max_native];
  std::uint64_t table[max_table];  // hash's high half << 32 | record + 1
  ReadRecord record[max_records];
  ReadGroup group[max_groups];
};

/// Fetches what recall() is going to compare, if this stack is the one that came next last time.
inline void prefetch_expected(const ReadSets& sets) noexcept {
  if (sets.expected == no_record) return;
  const auto* const record = reinterpret_cast<const std::byte*>(&sets.record[sets.expected]);
  const auto* const words = reinterpret_cast<const std::byte*>(&sets.group[sets.expected_groups]);
  __builtin_prefetch(record);
  __builtin_prefetch(record + sizeof(ReadRecord) - 1);
  for (int line = 0; line < 5; ++line) __builtin_prefetch(words + 64 * line);
}

/// The record that describes this stack; nullptr: unwind it.
ReadRecord* recall(ThreadState& state, const CaptureStart& start, const Hash128& python) noexcept;

/// Walks by our own rules and takes down what it reads. 0 when a frame has no rule.
std::uint32_t walk_rules(ThreadState& state, const CaptureStart& start, std::uint64_t* frames, std::uint32_t max,
                         bool& truncated) noexcept;

/// Keeps what the last walk_rules took down under `stack`, after a recall that failed. nullptr: it cannot be kept.
ReadRecord* learn(ThreadState& state, const CaptureStart& start, const Hash128& python, StackId stack) noexcept;

/// Forgets everything.
void flush(ReadSets& sets) noexcept;

}  // namespace vramtrack::stacks
