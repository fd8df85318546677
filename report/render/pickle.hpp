// Writes Python pickles (protocol 2) of plain data: dicts, lists, strings, integers. Only opcodes that PyTorch's
// viewer in the browser reads as well are used.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace vramtrack::render {

class PickleWriter {
 public:
  void begin_dict() { bytes_ += "}("; }
  void end_dict() { bytes_ += 'u'; }

  void text(std::string_view value);  // equal strings are written once
  void integer(std::uint64_t value);
  void boolean(bool value) { bytes_ += value ? '\x88' : '\x89'; }

  /// Makes a pair of the last two objects written.
  void pair() { bytes_ += '\x86'; }

  /// Remembers the object just written, so that recall() can refer to it.
  std::uint32_t remember();
  void recall(std::uint32_t id);

  /// The whole pickle; the writer is spent.
  std::string finish() {
    bytes_ += '.';
    return std::move(bytes_);
  }

 private:
  friend class PickleList;

  void little_endian(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i, value >>= 8) bytes_ += static_cast<char>(value);
  }

  std::string bytes_{"\x80\x02", 2};
  std::unordered_map<std::string, std::uint32_t> strings_;
  std::uint32_t remembered_ = 0;
};

/// A list being written: call next() before each item and end() after the last. Written in batches, since the viewer
/// passes each as the arguments of one call.
class PickleList {
 public:
  explicit PickleList(PickleWriter& writer) : writer_(writer) { writer_.bytes_ += "]("; }
  void next() {
    if (items_++ % batch == batch - 1) writer_.bytes_ += "e(";
  }
  void end() { writer_.bytes_ += 'e'; }

 private:
  static constexpr unsigned batch = 1000;
  PickleWriter& writer_;
  unsigned items_ = 0;
};

}  // namespace vramtrack::render
