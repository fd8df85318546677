#include "report/model/schema.hpp"

#include <string_view>

#include "report/model/fields.hpp"

namespace vramtrack {
namespace {

struct Schemas {
  template <Record Type>
  static Json of(const Type& record, const FieldRule&) {
    Json object = {{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}};
    each_field(record, [&](const char* key, const auto& value, const FieldRule& rule, const char* what) {
      add(object, key, value, rule, what);
    });
    object["additionalProperties"] = false;
    return object;
  }
  static Json of(bool, const FieldRule&) { return {{"type", "boolean"}}; }
  static Json of(double, const FieldRule& rule) { return number("number", rule.least); }
  template <std::signed_integral Type>
  static Json of(Type, const FieldRule& rule) {
    return number("integer", rule.least);
  }
  template <std::unsigned_integral Type>
  static Json of(Type, const FieldRule& rule) {
    if (rule.is_address) return {{"type", "string"}, {"pattern", "^0x[0-9a-f]+$"}};
    return number("integer", rule.least.value_or(0));
  }
  template <class Thing>
  static Json of(Id<Thing> id, const FieldRule& rule) {
    return of(std::uint32_t{id}, rule);
  }
  static Json of(const std::string&, const FieldRule& rule) {
    Json text;
    if (rule.words.empty()) {
      text["type"] = "string";
    } else {
      text["enum"] = words(rule.words);
    }
    if (rule.is_date) text["format"] = "date-time";
    return rule.form == Form::null_if_empty ? or_null(std::move(text)) : text;
  }
  static Json of(const Json&, const FieldRule&) { return {{"type", "object"}}; }
  template <class Type>
  static Json of(const std::optional<Type>&, const FieldRule& rule) {
    return or_null(of(Type{}, rule));
  }
  template <class Type>
  static Json of(const std::vector<Type>&, const FieldRule& rule) {
    Json array = {{"type", "array"}, {"items", of(Type{}, FieldRule{})}};
    if (rule.most_elements != 0) array["maxItems"] = rule.most_elements;
    return array;
  }
  template <class Type>
  static Json of(const std::map<std::string, Type>&, const FieldRule&) {
    return {{"type", "object"}, {"additionalProperties", of(Type{}, FieldRule{})}};
  }

  static void add(Json& object, const char* key, const auto& value, const FieldRule& rule, const char* what) {
    Json property = {{"description", std::string(what) + "."}};
    property.update(of(value, rule));
    object["properties"][key] = std::move(property);
    if (!rule.is_late) object["required"].push_back(key);
  }

 private:
  static Json number(const char* type, std::optional<std::int64_t> least) {
    Json schema = {{"type", type}};
    if (least) schema["minimum"] = *least;
    return schema;
  }

  static Json words(std::string_view text) {
    Json all = Json::array();
    for (std::size_t end; !text.empty(); text.remove_prefix(std::min(end + 1, text.size()))) {
      end = std::min(text.find('|'), text.size());
      all.push_back(std::string(text.substr(0, end)));
    }
    return all;
  }

  static Json or_null(Json schema) {
    if (schema.contains("enum")) {
      schema["enum"].push_back(nullptr);
    } else {
      schema["type"] = Json::array({schema["type"], "null"});
    }
    return schema;
  }
};

}  // namespace

Json report_schema() {
  Json schema = {
      {"$schema", "https://json-schema.org/draft/2020-12/schema"},
      {"$id", "vramtrack-report-1"},
      {"title", "vramtrack report, version 1"},
      {"description",
       "What one process held on its GPUs, by call site. Bytes are integers, times are seconds since the trace began "
       "unless a key ends in `_at` (RFC 3339, UTC). Keys are only ever added in this version; readers must skip what "
       "they do not know."},
      {"type", "object"},
      {"properties", Json::object()},
      {"required", Json::array({"schema", "vramtrack_version"})},
  };
  schema["properties"] = {
      {"schema", {{"description", "Name and version of this format."}, {"const", schema_name}}},
      {"vramtrack_version", {{"description", "Version of the program that wrote the report."}, {"type", "string"}}},
  };
  const Report empty;
  each_section(empty, [&](const char* key, const auto& value, const FieldRule& rule, const char* what) {
    Schemas::add(schema, key, value, rule, what);
  });
  return schema;
}

}  // namespace vramtrack
