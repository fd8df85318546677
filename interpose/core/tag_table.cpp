#include "interpose/core/tag_table.hpp"

namespace vramtrack {

// Linear probing without tombstones: entries behind the gap move up as long as that brings them no farther from home.
void TagTable::close_gap(std::size_t gap) noexcept {
  const std::size_t mask = current_.mask;
  for (std::size_t at = (gap + 1) & mask;; at = (at + 1) & mask) {
    const std::uint64_t entry = current_.entries[at];
    if (entry == 0) break;
    const std::size_t home = (entry >> 32) & mask;
    if (((at - home) & mask) >= ((at - gap) & mask)) {
      current_.entries[gap] = entry;
      gap = at;
    }
  }
  current_.entries[gap] = 0;
}

void TagTable::migrate(std::size_t positions) noexcept {
  for (; positions != 0 && cursor_ <= old_.mask; --positions, ++cursor_) {
    const std::uint64_t entry = old_.entries[cursor_];
    if (entry == 0 || entry == moved) continue;
    put(current_, entry);
    old_.entries[cursor_] = moved;
  }
  if (cursor_ > old_.mask) {
    unmap_pages(old_.entries, old_.capacity() * sizeof(std::uint64_t));
    old_ = Table();
  }
}

void TagTable::release() noexcept {
  unmap_pages(current_.entries, current_.capacity() * sizeof(std::uint64_t));
  unmap_pages(old_.entries, old_.capacity() * sizeof(std::uint64_t));
  *this = TagTable();
}

bool TagTable::make_room() noexcept {
  if (old_.entries != nullptr) migrate(old_.capacity());
  const std::size_t capacity = current_.entries == nullptr ? 512 : 2 * current_.capacity();
  auto* const entries = static_cast<std::uint64_t*>(map_pages(capacity * sizeof(std::uint64_t)));
  if (entries == nullptr) {
    // Slower probing is better than a lost event, as long as an empty entry is left to end every probe.
    const std::size_t most = current_.capacity() - current_.capacity() / 32;
    if (current_.entries == nullptr || used_ + 1 > most) return false;
    limit_ = used_ + 1;
    return true;
  }
  old_ = current_;
  cursor_ = 0;
  current_ = Table{entries, capacity - 1};
  limit_ = capacity / 10 * 7;
  return true;
}

}  // namespace vramtrack
