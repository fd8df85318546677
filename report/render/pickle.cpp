#include "report/render/pickle.hpp"

#include <limits>

namespace vramtrack::render {

void PickleWriter::text(std::string_view value) {
  const auto [at, fresh] = strings_.emplace(value, 0);
  if (!fresh) return recall(at->second);
  bytes_ += 'X';  // BINUNICODE
  little_endian(value.size(), 4);
  bytes_ += value;
  at->second = remember();
}

void PickleWriter::integer(std::uint64_t value) {
  if (value <= 0xff) {
    bytes_ += 'K';  // BININT1
    little_endian(value, 1);
  } else if (value <= 0xffff) {
    bytes_ += 'M';  // BININT2
    little_endian(value, 2);
  } else if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
    bytes_ += 'J';  // BININT
    little_endian(value, 4);
  } else {
    int bytes = 4;
    while (bytes < 8 && value >> (8 * bytes) != 0) ++bytes;
    if ((value >> (8 * bytes - 1) & 1) != 0) ++bytes;  // LONG1 is signed
    bytes_ += '\x8a';
    bytes_ += static_cast<char>(bytes);
    little_endian(value, bytes);
  }
}

std::uint32_t PickleWriter::remember() {
  const std::uint32_t id = remembered_++;
  bytes_ += id <= 0xff ? 'q' : 'r';  // BINPUT, LONG_BINPUT
  little_endian(id, id <= 0xff ? 1 : 4);
  return id;
}

void PickleWriter::recall(std::uint32_t id) {
  bytes_ += id <= 0xff ? 'h' : 'j';  // BINGET, LONG_BINGET
  little_endian(id, id <= 0xff ? 1 : 4);
}

}  // namespace vramtrack::render
