// A hash index from a 32-bit tag (a well-mixed hash) to 32-bit values; the key itself stays with the caller, who says
// whether a value is the one sought. 8 bytes an entry. It grows by moving a few entries with every insertion, so no
// single event pays for a large table. Not thread-safe: the owner's lock protects it. Constant-initialised.
#pragma once

#include <cstddef>
#include <cstdint>

#include "interpose/core/memory.hpp"

namespace vramtrack {

/// Mixes 64 bits so that every bit of the result depends on every bit of the input.
constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93u;
  x ^= x >> 32;
  return x;
}

class TagTable {
 public:
  static constexpr std::uint32_t none = 0xffffffffu;
  constexpr TagTable() noexcept = default;

  /// The value with this tag for which `equal(value)` holds, or none.
  template <class Equal>
  std::uint32_t find(std::uint32_t tag, Equal&& equal) const noexcept {
    std::size_t at = probe(current_, tag, equal);
    if (at != nowhere) return value_of(current_.entries[at]);
    if (old_.entries == nullptr) [[likely]]
      return none;
    at = probe(old_, tag, equal);
    return at == nowhere ? none : value_of(old_.entries[at]);
  }

  /// Adds a value (below none - 1) that find() would not find. False when memory is out.
  bool insert(std::uint32_t tag, std::uint32_t value) noexcept {
    if (used_ + 1 > limit_ && !make_room()) [[unlikely]]
      return false;
    if (old_.entries != nullptr) [[unlikely]]
      migrate(8);
    put(current_, static_cast<std::uint64_t>(tag) << 32 | (value + 1));
    ++used_;
    return true;
  }

  /// Adds a value unless find() would find one: `known` is that one, or none. False when memory is out.
  template <class Equal>
  bool insert_new(std::uint32_t tag, std::uint32_t value, Equal&& equal, std::uint32_t& known) noexcept {
    if (old_.entries == nullptr && used_ < limit_) [[likely]] {
      std::size_t at = tag & current_.mask;
      for (; current_.entries[at] != 0; at = (at + 1) & current_.mask) {
        const std::uint64_t entry = current_.entries[at];
        if (entry >> 32 == tag && equal(value_of(entry))) {
          known = value_of(entry);
          return true;
        }
      }
      current_.entries[at] = static_cast<std::uint64_t>(tag) << 32 | (value + 1);
      ++used_;
      known = none;
      return true;
    }
    known = find(tag, equal);
    return known != none || insert(tag, value);
  }

  /// Takes the value out that find() would give; returns it, or none.
  template <class Equal>
  std::uint32_t erase(std::uint32_t tag, Equal&& equal) noexcept {
    std::size_t at = probe(current_, tag, equal);
    if (at != nowhere) {
      const std::uint32_t value = value_of(current_.entries[at]);
      close_gap(at);
      --used_;
      return value;
    }
    if (old_.entries == nullptr) [[likely]]
      return none;
    at = probe(old_, tag, equal);
    if (at == nowhere) return none;
    const std::uint32_t value = value_of(old_.entries[at]);
    old_.entries[at] = moved;
    --used_;
    return value;
  }

  /// Gives its memory back; it is empty then.
  void release() noexcept;

  /// The entry will be looked up soon.
  void prefetch(std::uint32_t tag) const noexcept {
    if (current_.entries != nullptr) __builtin_prefetch(&current_.entries[tag & current_.mask]);
  }

  std::size_t size() const noexcept { return used_; }
  std::size_t memory_bytes() const noexcept { return (current_.capacity() + old_.capacity()) * sizeof(std::uint64_t); }

 private:
  struct Table {
    std::uint64_t* entries = nullptr;  // tag << 32 | value + 1; 0: empty
    std::size_t mask = 0;
    constexpr std::size_t capacity() const noexcept { return entries == nullptr ? 0 : mask + 1; }
  };
  static constexpr std::uint64_t moved = 0xffffffffu;  // in old_ only: was here, keep probing
  static constexpr std::size_t nowhere = ~std::size_t{0};
  static constexpr std::uint32_t value_of(std::uint64_t entry) noexcept {
    return static_cast<std::uint32_t>(entry) - 1;
  }

  template <class Equal>
  static std::size_t probe(const Table& table, std::uint32_t tag, Equal&& equal) noexcept {
    if (table.entries == nullptr) return nowhere;
    for (std::size_t at = tag & table.mask;; at = (at + 1) & table.mask) {
      const std::uint64_t entry = table.entries[at];
      if (entry == 0) return nowhere;
      if (entry >> 32 == tag && entry != moved && equal(value_of(entry))) return at;
    }
  }
  static void put(Table& table, std::uint64_t entry) noexcept {
    std::size_t at = (entry >> 32) & table.mask;
    while (table.entries[at] != 0) at = (at + 1) & table.mask;
    table.entries[at] = entry;
  }
  void close_gap(std::size_t gap) noexcept;
  void migrate(std::size_t positions) noexcept;
  bool make_room() noexcept;

  Table current_;
  Table old_;  // being emptied into current_ from position cursor_ on
  std::size_t cursor_ = 0;
  std::size_t used_ = 0;   // in both
  std::size_t limit_ = 0;  // of used_, before current_ has to grow
};

}  // namespace vramtrack
