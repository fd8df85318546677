#include "interpose/python/fact_values.hpp"

#include <cstddef>
#include <cstdio>
#include <span>

#include "contract/facts.hpp"
#include "contract/notes.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/trace/fact_writer.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::agent {
namespace {

/// Of five million tensors. Address space: what is not used is never mapped.
constexpr std::size_t most_bytes = std::size_t{256} << 20;

using Fields = std::span<const fact::FieldRow>;

/// Asked first: an error of the interpreter's takes longer to make than a row to write.
bool is_of(const PythonApi& api, Object* value, Object* type) noexcept {
  Object* const own = api.type_of(value);
  const bool is = own == type || api.is_subtype(own, type) != 0;
  api.decref(own);
  return is;
}

/// A list or a tuple.
class Items {
 public:
  Items(const PythonApi& api, Object* of) noexcept : of_(of) {
    if (is_of(api, of, api.tuple_type)) {
      get_ = api.tuple_get;
      count_ = api.tuple_size(of);
    } else if (is_of(api, of, api.list_type)) {
      get_ = api.list_get;
      count_ = api.list_size(of);
    }
  }
  bool are_there() const noexcept { return count_ >= 0; }
  std::ptrdiff_t count() const noexcept { return count_; }
  Object* at(std::ptrdiff_t i) const noexcept { return get_(of_, i); }

 private:
  Object* of_;
  Object* (*get_)(Object*, std::ptrdiff_t) = nullptr;
  std::ptrdiff_t count_ = -1;
};

/// Calls `take` with the text of a str. A path may hold bytes that are no text: the interpreter keeps them as lone
/// surrogates, which UTF-8 has no form for.
template <class Take>
bool with_text(const PythonApi& api, Object* value, Take&& take) noexcept {
  std::ptrdiff_t bytes = 0;
  if (const char* const text = api.string_text(value, &bytes)) {
    take(std::string_view(text, static_cast<std::size_t>(bytes)));
    return true;
  }
  api.clear_error();
  Object* const replaced = api.encode(value, "utf-8", "replace");
  if (replaced == nullptr) {
    api.clear_error();
    return false;
  }
  take(std::string_view(api.bytes_text(replaced), static_cast<std::size_t>(api.bytes_size(replaced))));
  api.decref(replaced);
  return true;
}

class ValueWriter {
 public:
  ValueWriter(const PythonApi& api, trace::FactWriter& out) noexcept : api_(api), out_(out) {}

  void write(const fact::FactRow& row, Object* value) noexcept {
    const Fields fields = fact::fields_of(row.name);
    if (row.form == fact::Form::map)
      map(fields, value);
    else if (row.form == fact::Form::list)
      maps(fields, value);
    else
      rows(fields, value);
  }

  /// The first field whose value was of another type, or the first of those among which one was that has no row.
  const fact::FieldRow* wrong() const noexcept { return wrong_; }

 private:
  void complain(const fact::FieldRow& field) noexcept {
    if (wrong_ == nullptr) wrong_ = &field;
  }

  void map(Fields fields, Object* dict) noexcept {
    if (!is_of(api_, dict, api_.dict_type)) {
      complain(fields.front());
      return out_.null();
    }
    std::ptrdiff_t left = api_.dict_size(dict);
    out_.begin_map();
    for (const fact::FieldRow& field : fields) {
      Object* const value = api_.dict_get(dict, field.name.data());
      if (value == nullptr) continue;
      out_.key(field.name);
      field_value(field, value);
      --left;
    }
    if (left != 0) complain(fields.front());
    out_.end();
  }

  void row(Fields fields, const Items& items) noexcept {
    if (!items.are_there()) {
      complain(fields.front());
      return out_.null();
    }
    out_.begin_row();
    std::ptrdiff_t i = 0;
    for (const fact::FieldRow& field : fields)
      if (i < items.count()) field_value(field, items.at(i++));
    if (i != items.count()) complain(fields.front());
    out_.end();
  }

  void maps(Fields fields, Object* list) noexcept {
    each(fields.front(), list, [&](Object* item) { map(fields, item); });
  }

  void rows(Fields fields, Object* list) noexcept {
    each(fields.front(), list, [&](Object* item) { row(fields, Items(api_, item)); });
  }

  template <class Write>
  void each(const fact::FieldRow& field, Object* list, Write&& write) noexcept {
    const Items items(api_, list);
    if (!items.are_there()) {
      complain(field);
      return out_.null();
    }
    out_.begin_list();
    for (std::ptrdiff_t i = 0; i < items.count(); ++i) write(items.at(i));
    out_.end();
  }

  bool number(Object* value) noexcept {
    const unsigned long long number = api_.unsigned_value(value);
    if (number == ~0ull && api_.error_occurred() != nullptr) {
      api_.clear_error();
      return false;
    }
    out_.number(number);
    return true;
  }

  bool text(Object* value) noexcept {
    return with_text(api_, value, [&](std::string_view text) { out_.text(text); });
  }

  bool flag(Object* value) noexcept {
    if (value != api_.true_object && value != api_.false_object) return false;
    out_.flag(value == api_.true_object);
    return true;
  }

  void or_null(const fact::FieldRow& field, bool written) noexcept {
    if (written) return;
    complain(field);
    out_.null();
  }

  void field_value(const fact::FieldRow& field, Object* value) noexcept {
    if (value == api_.none) return out_.null();
    switch (field.type) {
      case fact::Type::number:
        return or_null(field, number(value));
      case fact::Type::text:
        return or_null(field, text(value));
      case fact::Type::flag:
        return or_null(field, flag(value));
      case fact::Type::numbers:
        return each(field, value, [&](Object* item) { or_null(field, number(item)); });
      case fact::Type::texts:
        return each(field, value, [&](Object* item) { or_null(field, text(item)); });
      case fact::Type::part:
        return map(fact::fields_of(field.part), value);
      case fact::Type::parts:
        return maps(fact::fields_of(field.part), value);
      case fact::Type::rows:
        return rows(fact::fields_of(field.part), value);
    }
  }

  const PythonApi& api_;
  trace::FactWriter& out_;
  const fact::FieldRow* wrong_ = nullptr;
};

bool note(std::string_view key, std::string_view text, std::uint32_t n) noexcept {
  const HookScope scope;  // a signal handler that ends the process meanwhile must not wait for the writer's locks
  trace::Writer* const writer = trace::active();
  return writer != nullptr && writer->note(key, text, n);
}

void complain(std::string_view fact, std::string_view field) noexcept {
  char text[160];
  std::snprintf(text, sizeof text, "fact %.*s: %.*s is not what its row says", static_cast<int>(fact.size()),
                fact.data(), static_cast<int>(field.size()), field.data());
  note(trace::note_key::agent_error, text, 0);
}

}  // namespace

bool write_fact(std::string_view name, Object* value, std::uint32_t n) noexcept {
  const PythonApi& api = *python_api();
  const fact::FactRow* const row = fact::find_fact(name);
  if (row == nullptr) {
    complain(name, "the whole");
    return false;
  }
  bool written = false;
  if (row->form == fact::Form::text) {
    if (!with_text(api, value, [&](std::string_view text) { written = note(row->key, text, n); }))
      complain(name, "the text");
    return written;
  }
  trace::FactWriter fact(trace::FactWriter::default_capacity, most_bytes);
  ValueWriter values(api, fact);
  values.write(*row, value);
  {
    const HookScope scope;
    written = fact.write(row->key, n);
  }
  if (const fact::FieldRow* const field = values.wrong()) complain(field->fact, field->name);
  return written;
}

}  // namespace vramtrack::agent
