// The live blocks of one shard, by address: what a free has to know, in the entry itself, so that it touches one place
// of this table and reads nothing of the block's record in the trace, which it only overwrites. With a million blocks
// each such place is a cache miss, and each of the trace's small pages a page walk as well.
//
// Linear hashing: buckets of two cache lines in one stretch of address space; the table grows by splitting one bucket
// with an insertion, in place, so that no event pays for a large table and memory follows the number of blocks. Not
// thread-safe: the shard's lock protects it, except prefetch(). Constant-initialised.
#pragma once

#include <cstddef>
#include <cstdint>

#include "interpose/core/memory.hpp"

namespace vramtrack::ledger {

inline constexpr std::uint32_t max_slots = 1u << 30;

struct BlockEntry {
  std::uint64_t amount;  // bytes << step_bits | low bits of the step
  std::uint32_t place;   // address space << 30 | slot
  std::uint32_t site;

  static constexpr int step_bits = 24;
  static constexpr std::uint32_t step_mask = (1u << step_bits) - 1;
  static constexpr std::uint64_t huge = ~std::uint64_t{0} >> step_bits;  // does not fit here: the record has it

  static constexpr BlockEntry of(std::uint32_t space, std::uint64_t bytes, std::uint32_t step, std::uint32_t slot,
                                 std::uint32_t site) {
    return {(bytes < huge ? bytes : huge) << step_bits | (step & step_mask), space << 30 | slot, site};
  }
  std::uint32_t slot() const { return place & (max_slots - 1); }
  std::uint64_t bytes() const { return amount >> step_bits; }  // or `huge`
  /// Steps since it was allocated, modulo 2^24.
  std::uint32_t age(std::uint32_t step) const { return (step - static_cast<std::uint32_t>(amount)) & step_mask; }
};

class BlockIndex {
  static constexpr std::size_t bucket_entries = 5;
  struct alignas(64) Bucket {
    std::uint64_t address[bucket_entries];  // 0: empty
    std::uint32_t place[bucket_entries];
    std::uint32_t more;  // 1 + number of an overflow bucket, 0: none
    std::uint32_t site[bucket_entries];
    std::uint32_t reserved;
    std::uint64_t amount[bucket_entries];
  };
  static_assert(sizeof(Bucket) == 128);

 public:
  constexpr BlockIndex() noexcept = default;

  /// Where an entry is, or can be stored.
  struct Position {
    Bucket* bucket = nullptr;
    std::size_t at = 0;
    explicit operator bool() const noexcept { return bucket != nullptr; }
    std::uint64_t address() const noexcept { return bucket->address[at]; }
    BlockEntry entry() const noexcept { return {bucket->amount[at], bucket->place[at], bucket->site[at]}; }
    void store(std::uint64_t address, const BlockEntry& entry) const noexcept {
      bucket->address[at] = address;
      bucket->place[at] = entry.place;
      bucket->site[at] = entry.site;
      bucket->amount[at] = entry.amount;
    }
  };

  Position find(std::uint64_t address, std::uint32_t space) const noexcept {
    if (buckets_ == nullptr) [[unlikely]]
      return {};
    for (Bucket* bucket = home(address, space);; bucket = overflow_ + (bucket->more - 1)) {
      for (std::size_t i = 0; i < bucket_entries; ++i)
        if (bucket->address[i] == address && bucket->place[i] >> 30 == space) return {bucket, i};
      if (bucket->more == 0) [[likely]]
        return {};
    }
  }

  /// The place for an entry, to be stored there at once; `known`: there is one of this address. Empty: no memory.
  Position add(std::uint64_t address, std::uint32_t space, bool& known) noexcept {
    if (used_ < limit_) [[likely]] {
      Bucket* const bucket = home(address, space);
      if (bucket->more == 0) [[likely]] {
        Position free;
        for (std::size_t i = bucket_entries; i-- > 0;) {
          if (bucket->address[i] == 0) free = {bucket, i};
          if (bucket->address[i] == address && bucket->place[i] >> 30 == space) [[unlikely]] {
            known = true;
            return {bucket, i};
          }
        }
        if (free) [[likely]] {
          known = false;
          ++used_;
          return free;
        }
      }
    }
    return add_slow(address, space, known);
  }

  /// Takes out what find() found.
  void erase(Position found) noexcept {
    found.bucket->address[found.at] = 0;
    --used_;
  }

  /// This address will be looked for soon. Any thread, without the lock: at worst another line is fetched.
  void prefetch(std::uint64_t address, std::uint32_t space) const noexcept {
    const auto* const buckets = reinterpret_cast<const std::byte*>(__atomic_load_n(&buckets_, __ATOMIC_RELAXED));
    if (buckets == nullptr) return;
    const std::size_t number = number_of(hash(address, space), __atomic_load_n(&mask_, __ATOMIC_RELAXED),
                                         __atomic_load_n(&split_, __ATOMIC_RELAXED));
    __builtin_prefetch(buckets + number * sizeof(Bucket), 1);
    __builtin_prefetch(buckets + number * sizeof(Bucket) + 64, 1);
  }

  std::size_t size() const noexcept { return used_; }
  std::size_t memory_bytes() const noexcept { return (bucket_count() + overflow_count_) * sizeof(Bucket); }

 private:
  static std::uint32_t hash(std::uint64_t address, std::uint32_t space) noexcept {
    const std::uint64_t key = address + (std::uint64_t{space} << 60);
    return static_cast<std::uint32_t>((key ^ key >> 32) * 0x9e3779b97f4a7c15u >> 32);
  }
  /// Buckets below `split` have been split: one more bit of the hash counts there.
  static std::size_t number_of(std::uint32_t hash, std::size_t mask, std::size_t split) noexcept {
    const std::size_t number = hash & mask;
    return number < split ? hash & (2 * mask + 1) : number;
  }
  Bucket* home(std::uint64_t address, std::uint32_t space) const noexcept {
    return buckets_ + number_of(hash(address, space), mask_, split_);
  }
  std::size_t bucket_count() const noexcept { return buckets_ == nullptr ? 0 : mask_ + 1 + split_; }

  Position add_slow(std::uint64_t address, std::uint32_t space, bool& known) noexcept;
  Position place_in(Bucket* bucket) noexcept;
  bool start() noexcept;
  bool split() noexcept;

  Bucket* buckets_ = nullptr;
  std::size_t mask_ = 0;   // of the buckets that this round of splitting began with
  std::size_t split_ = 0;  // how many of those have been split
  std::size_t used_ = 0;
  std::size_t limit_ = 0;  // of used_, before the next split
  Bucket* overflow_ = nullptr;
  std::uint32_t overflow_count_ = 0;
  std::uint32_t free_overflow_ = 0;  // 1 + number of the first free one; they are linked by `more`
  ReservedPages bucket_pages_;
  ReservedPages overflow_pages_;
};

}  // namespace vramtrack::ledger
