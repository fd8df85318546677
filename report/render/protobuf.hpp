// Encodes protocol buffer messages, for the formats that are defined as such (pprof, Perfetto). Writing only.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "report/support/utf8.hpp"

namespace vramtrack::render {

/// One message under construction: fields are appended in the order of the calls. A nested message is built first and
/// then added as bytes.
class ProtobufMessage {
 public:
  /// uint32, uint64, bool, enum. Zero is written too: proto2 readers tell it from an absent field.
  void number(std::uint32_t field, std::uint64_t value) {
    key(field, varint_wire);
    varint(value);
  }

  /// int32, int64: negative values take ten bytes, as the format asks.
  void integer(std::uint32_t field, std::int64_t value) { number(field, static_cast<std::uint64_t>(value)); }

  /// string, as printable(): others' programs show it as it is.
  void text(std::uint32_t field, std::string_view value) { raw(field, utf8::printable(value)); }

  void message(std::uint32_t field, const ProtobufMessage& value) { raw(field, value.bytes_); }

  /// repeated numbers, packed.
  template <typename Number>
  void packed(std::uint32_t field, std::span<const Number> values) {
    ProtobufMessage list;
    for (const Number value : values) list.varint(static_cast<std::uint64_t>(value));
    raw(field, list.bytes_);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  static constexpr std::uint32_t varint_wire = 0, length_wire = 2;

  void key(std::uint32_t field, std::uint32_t wire) { varint(field << 3 | wire); }

  void raw(std::uint32_t field, std::string_view value) {
    key(field, length_wire);
    varint(value.size());
    bytes_.append(value);
  }

  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace vramtrack::render
