#include "interpose/trace/fact_writer.hpp"

#include <cstring>

#include "interpose/core/memory.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::trace {

FactWriter::FactWriter(std::size_t capacity, std::size_t most) noexcept
    : at_(static_cast<unsigned char*>(map_pages(capacity))),
      capacity_(at_ != nullptr ? capacity : 0),
      most_(at_ != nullptr ? most : 0) {
  put(fact::mark.data(), fact::mark.size());
  whole_ = used_;
}

FactWriter::~FactWriter() {
  if (at_ != nullptr) unmap_pages(at_, capacity_);
}

bool FactWriter::make_room(std::size_t count) noexcept {
  const std::size_t wanted = used_ + count + fact::most_levels;  // what is open can always be closed
  if (wanted <= capacity_) return true;
  if (wanted > most_) return false;
  std::size_t larger = capacity_;
  while (larger < wanted) larger = larger * 2 < most_ ? larger * 2 : most_;
  auto* const moved = static_cast<unsigned char*>(map_pages(larger));
  if (moved == nullptr) return false;
  std::memcpy(moved, at_, used_);
  unmap_pages(at_, capacity_);
  at_ = moved;
  capacity_ = larger;
  return true;
}

void FactWriter::put(const void* from, std::size_t count) noexcept {
  if (full_ || !make_room(count)) {
    full_ = true;
    return;
  }
  std::memcpy(at_ + used_, from, count);
  used_ += count;
}

void FactWriter::byte(std::uint8_t value) noexcept { put(&value, 1); }

void FactWriter::head(fact::Major major, std::uint64_t value) noexcept {
  unsigned char bytes[9];
  const int extra = value < fact::in_1_byte ? 0 : value < 1u << 8 ? 1 : value < 1u << 16 ? 2 : value >> 32 == 0 ? 4 : 8;
  const std::uint8_t marker = extra == 0   ? static_cast<std::uint8_t>(value)
                              : extra == 1 ? fact::in_1_byte
                              : extra == 2 ? fact::in_2_bytes
                              : extra == 4 ? fact::in_4_bytes
                                           : fact::in_8_bytes;
  bytes[0] = static_cast<unsigned char>(static_cast<std::uint8_t>(major) | marker);
  for (int i = 0; i < extra; ++i) bytes[1 + i] = static_cast<unsigned char>(value >> 8 * (extra - 1 - i));
  put(bytes, 1 + static_cast<std::size_t>(extra));
}

void FactWriter::text(std::string_view value) noexcept {
  const std::size_t before = used_;
  head(fact::Major::text, value.size());
  put(value.data(), value.size());
  if (full_) used_ = before;
}

void FactWriter::begin(std::uint8_t container, bool may_be_cut) noexcept {
  if (levels_ == fact::most_levels) full_ = true;
  byte(container);
  if (full_) return;
  ++levels_;
  if (may_be_cut || levels_ == 1) whole_ = used_, whole_levels_ = levels_;
}

void FactWriter::end() noexcept {
  byte(fact::code::end);
  if (full_) return;
  --levels_;
  // An element of the innermost list that may still go on is whole; so is all when nothing is open any more.
  whole_ = used_, whole_levels_ = levels_;
}

std::string_view FactWriter::bytes() noexcept {
  if (full_) used_ = whole_, levels_ = whole_levels_;
  for (; levels_ > 0 && at_ != nullptr; --levels_) at_[used_++] = fact::code::end;
  return {reinterpret_cast<const char*>(at_), used_};
}

bool FactWriter::write(std::string_view note, std::uint32_t n) noexcept {
  Writer* writer = active();
  return writer != nullptr && at_ != nullptr && writer->note(note, bytes(), n);
}

}  // namespace vramtrack::trace
