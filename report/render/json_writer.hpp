// A streaming JSON writer: one pass, a small buffer, no document in memory. Output is valid UTF-8 whatever it is given,
// and one line per element of the big arrays, so that line tools work on it too.
#pragma once

#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "report/model/model.hpp"

namespace vramtrack::render {

/// On one line; what would turn the reading direction or ring bells is escaped.
std::string json_text(const Json& json);

/// For a document that others' programs show: its texts as printable_lines().
void make_printable(Json& json);

class JsonWriter {
 public:
  explicit JsonWriter(std::ostream& out) : out_(out) { buffer_.reserve(flush_at + 4096); }
  ~JsonWriter() { flush(); }
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  /// `lines`: each element starts on a line of its own.
  void begin_object(bool lines = false) { open('{', lines); }
  void end_object() { close('}'); }
  void begin_array(bool lines = false) { open('[', lines); }
  void end_array() { close(']'); }

  void key(std::string_view name);

  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(const std::string& text) { value(std::string_view(text)); }
  void value(bool flag);
  void value(double number);  // not finite: null
  void value(std::nullptr_t);
  void value(const Json& json);  // a small document
  template <std::integral T>
  void value(T number) {
    if constexpr (std::signed_integral<T>) {
      write_signed(number);
    } else {
      write_unsigned(number);
    }
  }
  template <typename T>
  void value(const std::optional<T>& maybe) {
    if (maybe) {
      value(*maybe);
    } else {
      value(nullptr);
    }
  }
  template <class Thing>
  void value(Id<Thing> id) {
    value(std::uint32_t{id});
  }
  template <typename T>
  requires std::convertible_to<T, std::uint64_t> || std::same_as<T, std::string>
  void value(const std::vector<T>& items) {
    begin_array();
    for (const T& item : items) value(item);
    end_array();
  }

  template <typename T>
  void field(std::string_view name, const T& content) {
    key(name);
    value(content);
  }
  void flush();

 private:
  struct Level {
    bool first, lines;
  };
  static constexpr std::size_t flush_at = 64 * 1024;

  void open(char bracket, bool lines);
  void close(char bracket);
  void separate();
  void write_signed(std::int64_t number);
  void write_unsigned(std::uint64_t number);
  void write_string(std::string_view text);
  void write_valid(std::string_view text);

  std::ostream& out_;
  std::string buffer_;
  std::vector<Level> levels_;
  bool after_key_ = false;
};

/// A key of the open object: an array whose elements, by `write(out, item)`, stand on lines of their own.
template <typename Items, typename Write>
void write_array(JsonWriter& out, std::string_view name, const Items& items, Write write) {
  out.key(name);
  out.begin_array(true);
  for (const auto& item : items) write(out, item);
  out.end_array();
}

}  // namespace vramtrack::render
