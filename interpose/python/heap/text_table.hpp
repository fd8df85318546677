// The strings of one graph: each once, in the order of their ids, coded as its record wants them.
#pragma once

#include <cstring>
#include <string_view>

#include "contract/heap_graph.hpp"
#include "interpose/python/heap/page_vector.hpp"

namespace vramtrack::agent::heap {

class TextTable {
 public:
  TextTable() noexcept = default;
  ~TextTable() { index_.release(); }
  TextTable(const TextTable&) = delete;
  TextTable& operator=(const TextTable&) = delete;

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
    const std::uint32_t tag = tag_of(text);
    const auto same = [&](std::uint32_t index) {
      const Place& place = places_[index];
      return place.length == text.size() && std::memcmp(bytes_.begin() + place.at, text.data(), text.size()) == 0;
    };
    if (const std::uint32_t known = index_.find(tag, same); known != TagTable::none) return known + 1;
    const std::size_t at = bytes_.size();
    if (!places_.reserve(places_.size() + 1) || !bytes_.resize(at + trace::heap_graph::max_varint + text.size()))
      return 0;
    std::uint8_t* const content = trace::heap_graph::put_varint(bytes_.begin() + at, text.size());
    std::memcpy(content, text.data(), text.size());
    const auto begin = static_cast<std::size_t>(content - bytes_.begin());
    bytes_.resize(begin + text.size());
    const auto index = static_cast<std::uint32_t>(places_.size());
    places_.push({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(text.size())});
    index_.insert(tag, index);  // when memory is out, the same text may get another id
    return index + 1;
  }

  const PageVector<std::uint8_t>& coded() const noexcept { return bytes_; }

 private:
  struct Place {
    std::uint32_t at, length;  // in bytes_
  };

  static std::uint32_t tag_of(std::string_view text) noexcept {
    std::uint64_t hash = 14695981039346656037u;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    return static_cast<std::uint32_t>(mix64(hash) >> 32);
  }

  TagTable index_;            // into places_
  PageVector<Place> places_;  // of id 1, 2, ...
  PageVector<std::uint8_t> bytes_;
};

}  // namespace vramtrack::agent::heap
