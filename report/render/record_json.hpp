// Records of report.def as JSON: each field in the form that its rule says.
#pragma once

#include <cstdio>
#include <sstream>
#include <string>

#include "report/model/fields.hpp"
#include "report/render/json_writer.hpp"

namespace vramtrack::render {

template <Record Type>
void write_record(JsonWriter& out, const Type& record, bool lines = false);

inline void write_value(JsonWriter& out, const auto& value, const FieldRule&) { out.value(value); }

inline void write_value(JsonWriter& out, const std::string& text, const FieldRule& rule) {
  if (rule.form == Form::null_if_empty && text.empty()) return out.value(nullptr);
  out.value(text);
}

inline void write_value(JsonWriter& out, std::uint64_t number, const FieldRule& rule) {
  if (!rule.is_address) return out.value(number);
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(number));
  out.value(text);
}

template <Record Type>
void write_value(JsonWriter& out, const Type& record, const FieldRule& rule) {
  write_record(out, record, rule.lines);
}

template <Record Type>
void write_value(JsonWriter& out, const std::optional<Type>& record, const FieldRule& rule) {
  if (!record) return out.value(nullptr);
  write_record(out, *record, rule.lines);
}

template <Record Type>
void write_value(JsonWriter& out, const std::vector<Type>& records, const FieldRule& rule) {
  out.begin_array(rule.lines);
  for (const Type& record : records) write_record(out, record);
  out.end_array();
}

template <class Value>
void write_value(JsonWriter& out, const std::map<std::string, Value>& values, const FieldRule&) {
  out.begin_object();
  for (const auto& [key, value] : values) out.field(key, value);
  out.end_object();
}

/// Whether a field is left out of this record.
template <class Value>
bool is_absent(const Value& value, const FieldRule& rule) {
  if (rule.form != Form::absent_if_empty) return false;
  if constexpr (std::integral<Value>) return value == 0;
  if constexpr (requires { value.empty(); }) {
    return value.empty() || (rule.most_elements != 0 && value.size() > rule.most_elements);
  }
  return false;
}

/// `lines`: each field stands on a line of its own.
template <Record Type>
void write_record(JsonWriter& out, const Type& record, bool lines) {
  out.begin_object(lines);
  each_field(record, [&](const char* key, const auto& value, const FieldRule& rule, const char*) {
    if (is_absent(value, rule)) return;
    out.key(key);
    write_value(out, value, rule);
  });
  out.end_object();
}

/// A record, or a list of them, as a text of one line: for documents that hold parts of the report.
std::string json_text_of(const auto& value) {
  std::ostringstream text;
  JsonWriter out(text);
  write_value(out, value, plain);
  out.flush();
  return text.str();
}

}  // namespace vramtrack::render
