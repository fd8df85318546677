// Memory for the library's own tables, straight from mmap: the host's malloc is never used (it may be interposed,
// instrumented, or locked by the very thread that is in a hook).
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace vramtrack {

/// Of the system that this runs on: 4, 16 or 64 KiB on aarch64.
std::size_t page_bytes() noexcept;

/// Zeroed pages, or nullptr.
void* map_pages(std::size_t bytes) noexcept;
void unmap_pages(void* address, std::size_t bytes) noexcept;

inline constexpr std::size_t huge_page = std::size_t{2} << 20;
/// Same, for what every event reads: as many whole huge pages as fit into `bytes` are asked for at its beginning. The
/// tables of an event lie on dozens of pages; a program that does much in between has replaced their translations, and
/// to find one again costs more than a cache line does. Where the system gives none, these are pages as others.
void* map_huge_pages(std::size_t bytes) noexcept;

/// Address space without memory behind it, or nullptr. Where the program's is limited (ulimit -v), ask for a small part
/// of address_room() only: the rest is the program's.
void* reserve_addresses(std::size_t bytes) noexcept;
/// Bytes of address space that are left to this process; SIZE_MAX where it is not limited.
std::size_t address_room() noexcept;

/// Bump allocation without freeing. Not thread-safe: the owner's lock protects it. Constant-initialised.
class Arena {
 public:
  constexpr Arena() noexcept = default;
  /// `alignment` is a power of two, at most 4096. nullptr when memory is out.
  void* allocate(std::size_t bytes, std::size_t alignment = 16) noexcept;
  template <class T>
  T* make_array(std::size_t count) noexcept {
    static_assert(std::is_trivially_destructible_v<T>);
    return static_cast<T*>(allocate(count * sizeof(T), alignof(T)));
  }
  /// Forgets everything without unmapping it (forked child, or deliberate leak).
  void forget() noexcept { *this = Arena(); }

 private:
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
};

/// An array that grows in place: address space for `max_count` elements is reserved at once (for fewer where it is
/// limited), pages are made usable as they are needed. Elements never move and start zeroed. Not thread-safe.
/// Constant-initialised.
class ReservedPages {
 public:
  constexpr ReservedPages() noexcept = default;
  bool reserve(std::size_t bytes) noexcept;
  /// Makes the first `bytes` usable. False when memory is out or beyond what was reserved.
  bool grow(std::size_t bytes) noexcept;
  std::byte* data() const noexcept { return base_; }
  std::size_t usable() const noexcept { return usable_; }
  void forget() noexcept { *this = ReservedPages(); }

 private:
  std::byte* base_ = nullptr;
  std::size_t reserved_ = 0;
  std::size_t usable_ = 0;
};

template <class T>
class GrowingArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  constexpr GrowingArray() noexcept = default;
  bool reserve(std::size_t max_count) noexcept { return pages_.reserve(max_count * sizeof(T)); }
  /// Element `index`, grown to if need be; nullptr when memory is out.
  T* at(std::size_t index) noexcept {
    if ((index + 1) * sizeof(T) > pages_.usable() && !pages_.grow((index + 1) * sizeof(T))) return nullptr;
    return reinterpret_cast<T*>(pages_.data()) + index;
  }
  T& operator[](std::size_t index) noexcept { return reinterpret_cast<T*>(pages_.data())[index]; }
  std::size_t capacity() const noexcept { return pages_.usable() / sizeof(T); }
  void forget() noexcept { pages_.forget(); }

 private:
  ReservedPages pages_;
};

}  // namespace vramtrack
