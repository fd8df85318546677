// A vector of plain values in pages of its own: grows by mremap, gives everything back when it ends. Not thread-safe.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "interpose/core/memory.hpp"
#include "interpose/core/tag_table.hpp"

namespace vramtrack::agent::heap {

template <class T>
class PageVector {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  PageVector() noexcept = default;
  ~PageVector() { unmap_pages(data_, capacity_ * sizeof(T)); }
  PageVector(const PageVector&) = delete;
  PageVector& operator=(const PageVector&) = delete;

  /// False when memory is out; then nothing has changed.
  bool push(const T& value) noexcept {
    if (size_ == capacity_ && !reserve(size_ + 1)) return false;
    data_[size_++] = value;
    return true;
  }

  /// New elements are zero.
  bool resize(std::size_t size) noexcept {
    if (size > capacity_ && !reserve(size)) return false;
    for (std::size_t i = size; i < size_; ++i) data_[i] = T{};
    size_ = size;
    return true;
  }

  bool reserve(std::size_t size) noexcept {
    if (size <= capacity_) return true;
    std::size_t capacity = capacity_ == 0 ? (64 * 1024) / sizeof(T) + 1 : capacity_ * 2;
    if (capacity < size) capacity = size;
    void* pages = capacity_ == 0 ? map_pages(capacity * sizeof(T))
                                 : ::mremap(data_, capacity_ * sizeof(T), capacity * sizeof(T), MREMAP_MAYMOVE);
    if (pages == nullptr || pages == MAP_FAILED) return false;
    data_ = static_cast<T*>(pages);
    capacity_ = capacity;
    return true;
  }

  T& operator[](std::size_t index) noexcept { return data_[index]; }
  const T& operator[](std::size_t index) const noexcept { return data_[index]; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size_; }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  void clear() noexcept { resize(0); }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

using Number = std::uint32_t;
inline constexpr Number none = ~Number{0};

/// Numbers 64-bit keys in the order in which they come.
class Numbering {
  static_assert(none == TagTable::none);
  static std::uint32_t tag_of(std::uint64_t key) noexcept { return static_cast<std::uint32_t>(mix64(key) >> 32); }
  auto is(std::uint64_t key) const noexcept {
    return [this, key](Number number) { return keys_[number] == key; };
  }

 public:
  Numbering() noexcept = default;
  ~Numbering() { index_.release(); }
  Numbering(const Numbering&) = delete;
  Numbering& operator=(const Numbering&) = delete;

  /// The number of a key, given now if it has none; `none` when memory is out or `limit` keys are there.
  Number add(std::uint64_t key, std::size_t limit) noexcept {
    if (keys_.size() >= limit || !keys_.reserve(keys_.size() + 1)) return find(key);
    const auto next = static_cast<Number>(keys_.size());
    Number known = none;
    if (!index_.insert_new(tag_of(key), next, is(key), known)) return none;
    if (known != none) return known;
    keys_.push(key);
    return next;
  }

  Number find(std::uint64_t key) const noexcept { return index_.find(tag_of(key), is(key)); }
  std::uint64_t key(Number number) const noexcept { return keys_[number]; }
  std::size_t size() const noexcept { return keys_.size(); }

 private:
  TagTable index_;
  PageVector<std::uint64_t> keys_;
};

}  // namespace vramtrack::agent::heap
