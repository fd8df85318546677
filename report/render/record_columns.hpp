// Records of report.def as columns of a page's data block: one for each field, under its key.
#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "report/model/fields.hpp"
#include "report/render/column_json.hpp"
#include "report/render/page_columns.hpp"
#include "report/render/record_json.hpp"

namespace vramtrack::render {

/// What a field is in a column: a number. A text is its place among the page's strings, a stack its node of the tree;
/// what is not known is -1. Seconds are rounded, and growth is in whole bytes.
class ColumnNumbers {
 public:
  ColumnNumbers(StringTable& strings, StackTree& tree) : strings_(strings), tree_(tree) {}

  double operator()(std::string_view, const std::string& text) { return strings_(text); }
  double operator()(std::string_view, const std::vector<std::int64_t>& shape) { return strings_(shape_text(shape)); }
  double operator()(std::string_view, const std::vector<FrameId>& stack) { return tree_.insert(stack); }
  double operator()(std::string_view key, double value) {
    return key.starts_with("bytes") ? std::round(value) : page_seconds(value);
  }
  double operator()(std::string_view, std::integral auto value) { return static_cast<double>(value); }
  template <class Thing>
  double operator()(std::string_view, Id<Thing> id) {
    return id;
  }
  template <class Value>
  double operator()(std::string_view key, const std::optional<Value>& value) {
    return value ? (*this)(key, *value) : -1;
  }

 private:
  StringTable& strings_;
  StackTree& tree_;
};

template <class Value>
concept NumberInColumn = requires(ColumnNumbers numbers, const Value& value) {
  numbers("", value);
};

template <class Value>
concept MaybeRecord = Record<typename Value::value_type> && requires(const Value& value) {
  value.has_value();
};

/// Calls visit(key, value, known) for each column of a record, those of records in it included; not `known` are the
/// values of a record that is missing (null).
template <Record Type, class Visit>
void each_column(const Type* record, const Visit& visit) {
  const Type none;
  each_field(record != nullptr ? *record : none,
             [&]<class Value>(const char* key, const Value& value, const FieldRule& rule, const char*) {
               if constexpr (Record<Value>) {
                 each_column(record != nullptr ? &value : nullptr, visit);
               } else if constexpr (MaybeRecord<Value>) {
                 each_column(value ? &*value : nullptr, visit);
               } else if constexpr (NumberInColumn<Value> || std::is_constructible_v<Json, Value>) {
                 // As a number an address may be too large for JavaScript.
                 if (!rule.is_address) visit(key, value, record != nullptr);
               }
             });
}

/// The columns of records that are added one by one. Of lists of ids, which are mostly empty, only the others go out,
/// by row.
template <Record Type>
class RecordColumns {
 public:
  explicit RecordColumns(ColumnNumbers numbers) : numbers_(numbers) {
    each_column<Type>(nullptr, [&]<class Value>(const char* key, const Value&, bool) {
      columns_.push_back({key, NumberInColumn<Value>});
    });
  }

  void add(const Type& record) {
    auto column = columns_.begin();
    each_column(&record, [&]<class Value>(const char* key, const Value& value, bool known) {
      if constexpr (NumberInColumn<Value>) {
        column->numbers.push_back(known ? numbers_(key, value) : -1);
      } else if (!value.empty()) {
        column->lists[std::to_string(length_)] = value;
      }
      ++column;
    });
    ++length_;
  }

  void write(ObjectWriter& object) const {
    object.key("length") += std::to_string(length_);
    for (const Column& column : columns_) {
      std::string& out = object.key(column.key);
      column.of_numbers ? write_column(out, column.numbers) : void(out += dump(column.lists));
    }
  }

 private:
  struct Column {
    const char* key;
    bool of_numbers;
    std::vector<double> numbers{};
    Json lists = Json::object();
  };

  ColumnNumbers numbers_;
  std::vector<Column> columns_;
  std::size_t length_ = 0;
};

template <Record Type>
void write_records(ObjectWriter& object, const std::vector<Type>& records, ColumnNumbers numbers) {
  RecordColumns<Type> columns(numbers);
  for (const Type& record : records) columns.add(record);
  columns.write(object);
}

}  // namespace vramtrack::render
