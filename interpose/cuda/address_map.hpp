// A small hash map from an address or handle to a trivially copyable value, on mapped pages. Linear probing, grows by
// doubling. Not thread-safe: its owner's lock protects it. Constant-initialised.
#pragma once

#include <cstdint>
#include <type_traits>

#include "interpose/core/memory.hpp"

namespace vramtrack::hooks {

template <class Value>
class AddressMap {
  static_assert(std::is_trivially_copyable_v<Value>);

 public:
  constexpr AddressMap() noexcept = default;

  Value* find(std::uint64_t key) noexcept {
    if (count_ == 0 || key == 0) return nullptr;
    for (std::size_t at = start(key);; at = (at + 1) & mask_) {
      if (entries_[at].key == key) return &entries_[at].value;
      if (entries_[at].key == 0) return nullptr;
    }
  }

  /// Adds or replaces. nullptr when memory is out or the key is 0.
  Value* insert(std::uint64_t key, const Value& value) noexcept {
    if (key == 0) return nullptr;
    if (Value* present = find(key)) {
      *present = value;
      return present;
    }
    if ((count_ + 1) * 2 > capacity() && !grow()) return nullptr;
    return put(key, value);
  }

  bool erase(std::uint64_t key) noexcept {
    if (count_ == 0 || key == 0) return false;
    std::size_t gap = start(key);
    while (entries_[gap].key != key) {
      if (entries_[gap].key == 0) return false;
      gap = (gap + 1) & mask_;
    }
    for (std::size_t at = (gap + 1) & mask_; entries_[at].key != 0; at = (at + 1) & mask_) {
      if (((at - start(entries_[at].key)) & mask_) >= ((at - gap) & mask_)) {
        entries_[gap] = entries_[at];
        gap = at;
      }
    }
    entries_[gap].key = 0;
    --count_;
    return true;
  }

  /// The first entry from position `cursor` on for which `wanted` holds; its key, or 0. No insertion in between.
  template <class Wanted>
  std::uint64_t next(std::size_t& cursor, Wanted&& wanted) const noexcept {
    for (; cursor < capacity(); ++cursor)
      if (entries_[cursor].key != 0 && wanted(entries_[cursor].key, entries_[cursor].value))
        return entries_[cursor++].key;
    return 0;
  }

  std::size_t size() const noexcept { return count_; }
  void forget() noexcept { *this = AddressMap(); }

 private:
  struct Entry {
    std::uint64_t key;
    Value value;
  };
  std::size_t capacity() const noexcept { return entries_ == nullptr ? 0 : mask_ + 1; }
  std::size_t start(std::uint64_t key) const noexcept {
    return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15u) >> 32) & mask_;
  }
  Value* put(std::uint64_t key, const Value& value) noexcept {
    std::size_t at = start(key);
    while (entries_[at].key != 0) at = (at + 1) & mask_;
    entries_[at] = {key, value};
    ++count_;
    return &entries_[at].value;
  }
  bool grow() noexcept {
    const std::size_t wanted = capacity() == 0 ? 256 : capacity() * 2;
    auto* fresh = static_cast<Entry*>(map_pages(wanted * sizeof(Entry)));
    if (fresh == nullptr) return false;
    Entry* old = entries_;
    const std::size_t old_capacity = capacity();
    entries_ = fresh;
    mask_ = wanted - 1;
    count_ = 0;
    for (std::size_t i = 0; i < old_capacity; ++i)
      if (old[i].key != 0) put(old[i].key, old[i].value);
    if (old != nullptr) unmap_pages(old, old_capacity * sizeof(Entry));
    return true;
  }

  Entry* entries_ = nullptr;
  std::size_t mask_ = 0;
  std::size_t count_ = 0;
};

}  // namespace vramtrack::hooks
