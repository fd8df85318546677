// The strings of one graph: each once, in the order of their ids, coded as its record wants them.
#pragma once

#include <cstring>
#include <string_view>

#include "contract/heap_graph.hpp"
#include "interpose/python/heap/page_vector.hpp"

namespace vramtrack::agent::heap {

class TextTable {
 public:
  static constexpr std::size_t max_text = 300;  // bytes; names of code are shorter, keys of a dict may be anything

  /// Its id; 0 for "" or when memory is out. What is longer than max_text ends in "...".
  trace::GraphString add(std::string_view text) noexcept {
    if (text.empty()) return 0;
    char shortened[max_text + 4];
    if (text.size() > max_text) {
      std::size_t length = max_text;
      while (length > 0 && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;  // no half character
      std::memcpy(shortened, text.data(), length);
      std::memcpy(shortened + length, "...", 3);
      text = {shortened, length + 3};
    }
    if (places_.size() * 2 >= slots_.size() && !grow()) return 0;
    const std::uint64_t hash = hash_of(text);
    std::uint32_t* const slot = find_slot(hash, text);
    if (*slot != 0) return *slot;
    const std::size_t at = bytes_.size();
    if (!bytes_.resize(at + trace::heap_graph::max_varint + text.size())) return 0;
    std::uint8_t* const begin = bytes_.begin() + at;
    std::uint8_t* const content = trace::heap_graph::put_varint(begin, text.size());
    std::memcpy(content, text.data(), text.size());
    bytes_.resize(static_cast<std::size_t>(content - bytes_.begin()) + text.size());
    if (!places_.push(
            {hash, static_cast<std::uint32_t>(content - bytes_.begin()), static_cast<std::uint32_t>(text.size())}))
      return 0;
    return *slot = static_cast<std::uint32_t>(places_.size());
  }

  const PageVector<std::uint8_t>& coded() const noexcept { return bytes_; }

 private:
  struct Place {
    std::uint64_t hash;
    std::uint32_t at, length;
  };

  static std::uint64_t hash_of(std::string_view text) noexcept {
    std::uint64_t hash = 14695981039346656037u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    return hash;
  }

  std::uint32_t* find_slot(std::uint64_t hash, std::string_view text) noexcept {
    std::size_t at = hash & (slots_.size() - 1);
    for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
      const Place& place = places_[slots_[at] - 1];
      if (place.hash == hash && place.length == text.size() &&
          std::memcmp(bytes_.begin() + place.at, text.data(), text.size()) == 0)
        break;
    }
    return &slots_[at];
  }

  bool grow() noexcept {
    const std::size_t size = slots_.size() == 0 ? 1 << 12 : slots_.size() * 2;
    slots_.clear();
    if (!slots_.resize(size)) return false;
    for (std::size_t i = 0; i < places_.size(); ++i) {
      std::size_t at = places_[i].hash & (size - 1);
      while (slots_[at] != 0) at = (at + 1) & (size - 1);
      slots_[at] = static_cast<std::uint32_t>(i + 1);
    }
    return true;
  }

  PageVector<std::uint32_t> slots_;  // ids
  PageVector<Place> places_;         // of id 1, 2, ...
  PageVector<std::uint8_t> bytes_;
};

}  // namespace vramtrack::agent::heap
