#include "interpose/ledger/block_index.hpp"

#include <sys/mman.h>

#include "interpose/core/saved_errno.hpp"

namespace vramtrack::ledger {

namespace {

constexpr std::size_t first_buckets = 64;
// Blocks a bucket before the next is split: beyond it, overflow buckets cost more than they save.
constexpr std::size_t load_in_tenths = 36;

// Address space only; pages are made usable as they are needed, huge ones where the kernel gives them: an entry is then
// one miss, not a page walk and a miss. Of a limited address space, only a small part: the rest is the program's.
bool reserve(ReservedPages& pages, std::size_t bytes) noexcept {
  const SavedErrno keep;
  if (const std::size_t share = address_room() / 64; share < bytes) bytes = share;
  constexpr std::size_t least = std::size_t{256} << 10;
  for (; bytes >= least; bytes /= 4) {
    if (!pages.reserve(bytes)) continue;
    ::madvise(pages.data(), bytes, MADV_HUGEPAGE);
    return true;
  }
  return false;
}

// Whole huge pages at a time once that is a small part of it: a page that is touched while it is not usable as a whole
// is a small one for ever.
bool grow(ReservedPages& pages, std::size_t bytes) noexcept {
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  if (bytes <= pages.usable()) [[likely]]
    return true;
  if (bytes < huge_page / 2) return pages.grow(bytes);
  const std::size_t end = reinterpret_cast<std::uintptr_t>(pages.data()) + bytes + bytes / 4;
  return pages.grow((end + huge_page - 1) / huge_page * huge_page - reinterpret_cast<std::uintptr_t>(pages.data())) ||
         pages.grow(bytes);
}

}  // namespace

bool BlockIndex::start() noexcept {
  if (bucket_pages_.data() == nullptr && !reserve(bucket_pages_, std::size_t{8} << 30)) return false;
  if (overflow_pages_.data() == nullptr && !reserve(overflow_pages_, std::size_t{4} << 30)) return false;
  if (!bucket_pages_.grow(first_buckets * sizeof(Bucket))) return false;
  overflow_ = reinterpret_cast<Bucket*>(overflow_pages_.data());
  mask_ = first_buckets - 1;
  limit_ = first_buckets * load_in_tenths / 10;
  __atomic_store_n(&buckets_, reinterpret_cast<Bucket*>(bucket_pages_.data()), __ATOMIC_RELAXED);  // for prefetch()
  return true;
}

/// A free place in the chain that begins with `bucket`, which gets longer if need be.
BlockIndex::Position BlockIndex::place_in(Bucket* bucket) noexcept {
  for (;; bucket = overflow_ + (bucket->more - 1)) {
    for (std::size_t i = 0; i < bucket_entries; ++i)
      if (bucket->address[i] == 0) return {bucket, i};
    if (bucket->more == 0) break;
  }
  std::uint32_t fresh = free_overflow_;
  if (fresh != 0) {
    free_overflow_ = overflow_[fresh - 1].more;
  } else {
    if (!grow(overflow_pages_, (std::size_t{overflow_count_} + 1) * sizeof(Bucket))) return {};
    fresh = ++overflow_count_;
  }
  overflow_[fresh - 1].more = 0;  // its addresses are 0
  bucket->more = fresh;
  return {overflow_ + (fresh - 1), 0};
}

/// Splits the next bucket: about half of its chain moves to a new one at the end.
bool BlockIndex::split() noexcept {
  const std::size_t count = bucket_count();
  std::size_t chain = 1;
  for (const Bucket* from = buckets_ + split_; from->more != 0; from = overflow_ + (from->more - 1)) ++chain;
  if (!grow(bucket_pages_, (count + 1) * sizeof(Bucket)) ||
      !grow(overflow_pages_, (overflow_count_ + chain) * sizeof(Bucket)))
    return false;
  Bucket* const to = buckets_ + count;  // zeroed
  const std::size_t wide_mask = 2 * mask_ + 1;
  for (Bucket* from = buckets_ + split_;; from = overflow_ + (from->more - 1)) {
    for (std::size_t i = 0; i < bucket_entries; ++i) {
      const std::uint64_t address = from->address[i];
      if (address == 0 || (hash(address, from->place[i] >> 30) & wide_mask) != count) continue;
      place_in(to).store(address, Position{from, i}.entry());
      from->address[i] = 0;
    }
    if (from->more == 0) break;
  }
  // What stays moves up into the first bucket's holes, and overflow buckets that are empty go back.
  for (Bucket* bucket = buckets_ + split_; bucket->more != 0;) {
    const std::uint32_t number = bucket->more;
    Bucket* const next = overflow_ + (number - 1);
    std::size_t left = 0;
    for (std::size_t i = 0; i < bucket_entries; ++i) {
      if (next->address[i] == 0) continue;
      std::size_t hole = 0;
      while (hole < bucket_entries && bucket->address[hole] != 0) ++hole;
      if (hole == bucket_entries) {
        ++left;
        continue;
      }
      Position{bucket, hole}.store(next->address[i], Position{next, i}.entry());
      next->address[i] = 0;
    }
    if (left != 0) {
      bucket = next;
      continue;
    }
    bucket->more = next->more;
    next->more = free_overflow_;
    free_overflow_ = number;
  }
  if (split_ == mask_) {
    __atomic_store_n(&mask_, wide_mask, __ATOMIC_RELAXED);
    __atomic_store_n(&split_, std::size_t{0}, __ATOMIC_RELAXED);
  } else {
    __atomic_store_n(&split_, split_ + 1, __ATOMIC_RELAXED);
  }
  limit_ = bucket_count() * load_in_tenths / 10;
  return true;
}

BlockIndex::Position BlockIndex::add_slow(std::uint64_t address, std::uint32_t space, bool& known) noexcept {
  known = false;
  if (buckets_ == nullptr && !start()) return {};
  if (const Position found = find(address, space)) {
    known = true;
    return found;
  }
  // Without memory for another bucket the chains get longer: slower, but no event is lost.
  if (used_ >= limit_ && !split()) limit_ = used_ + 1;
  const Position place = place_in(home(address, space));
  if (place) ++used_;
  return place;
}

}  // namespace vramtrack::ledger
