#include "report/render/json_writer.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ostream>

#include "report/support/utf8.hpp"

namespace vramtrack::render {

std::string json_text(const Json& json) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (std::size_t i = 0; i < text.size(); ++i)
    if (static_cast<unsigned char>(text[i]) >= 0x7f && utf8::hostile_at(std::string_view(text).substr(i)) != 0)
      return json.dump(-1, ' ', true, Json::error_handler_t::replace);
  return text;
}

void make_printable(Json& json) {
  if (json.is_string())
    json = utf8::printable_lines(json.get_ref<const std::string&>());
  else if (json.is_structured())
    for (Json& entry : json) make_printable(entry);
}

void JsonWriter::flush() {
  out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
  buffer_.clear();
}

void JsonWriter::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (levels_.empty()) return;
  Level& level = levels_.back();
  if (!level.first) buffer_ += ',';
  if (level.lines) {
    buffer_ += '\n';
  } else if (!level.first) {
    buffer_ += ' ';
  }
  level.first = false;
  if (buffer_.size() >= flush_at) flush();
}

void JsonWriter::open(char bracket, bool lines) {
  separate();
  buffer_ += bracket;
  levels_.push_back({true, lines});
}

void JsonWriter::close(char bracket) {
  const Level level = levels_.back();
  levels_.pop_back();
  if (level.lines && !level.first) buffer_ += '\n';
  buffer_ += bracket;
}

void JsonWriter::key(std::string_view name) {
  separate();
  write_string(name);
  buffer_ += ": ";
  after_key_ = true;
}

void JsonWriter::value(std::string_view text) {
  separate();
  write_string(text);
}

void JsonWriter::value(bool flag) {
  separate();
  buffer_ += flag ? "true" : "false";
}

void JsonWriter::value(std::nullptr_t) {
  separate();
  buffer_ += "null";
}

void JsonWriter::value(double number) {
  if (!std::isfinite(number)) return value(nullptr);
  separate();
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  buffer_.append(text.data(), end.ptr);
}

void JsonWriter::value(const Json& json) {
  separate();
  buffer_ += json_text(json);
}

void JsonWriter::write_signed(std::int64_t number) {
  separate();
  std::array<char, 24> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  buffer_.append(text.data(), end.ptr);
}

void JsonWriter::write_unsigned(std::uint64_t number) {
  separate();
  std::array<char, 24> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number);
  buffer_.append(text.data(), end.ptr);
}

void JsonWriter::write_string(std::string_view text) {
  if (utf8::is_valid(text)) {
    write_valid(text);
  } else {
    write_valid(utf8::sanitise(text));
  }
}

void JsonWriter::write_valid(std::string_view text) {
  buffer_ += '"';
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') continue;
    if (c >= 0x7f) {  // what turns the reading direction or rings bells must not do so where the JSON is looked at
      const std::uint32_t hostile = utf8::hostile_at(text.substr(i));
      if (hostile == 0) continue;
      buffer_.append(text.substr(done, i - done));
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(hostile & 0xffffu));
      buffer_ += escape.data();
      i += utf8::sequence_length(text.substr(i)) - 1;
      done = i + 1;
      continue;
    }
    buffer_.append(text.substr(done, i - done));
    done = i + 1;
    switch (c) {
      case '"':
        buffer_ += "\\\"";
        break;
      case '\\':
        buffer_ += "\\\\";
        break;
      case '\n':
        buffer_ += "\\n";
        break;
      case '\t':
        buffer_ += "\\t";
        break;
      default: {
        std::array<char, 8> escape{};
        std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
        buffer_ += escape.data();
      }
    }
  }
  buffer_.append(text.substr(done));
  buffer_ += '"';
}

}  // namespace vramtrack::render
