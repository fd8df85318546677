// The fields of the report's records, to be visited: report.def as code.
#pragma once

#include <concepts>
#include <type_traits>

#include "report/model/field_rule.hpp"
#include "report/model/model.hpp"

namespace vramtrack {

template <class Self, class Type>
concept MaybeConst = std::same_as<std::remove_const_t<Self>, Type>;

/// Calls visit(key, member, rule, what) for each field of a record that is in the document, in its order.
#define RECORD(type, what)                      \
  template <MaybeConst<type> Self, class Visit> \
  void each_field(Self& self, const Visit& visit) {
#define FIELD(type, name, initial, rule, what) visit(#name, self.name, rule, what);
#define END }
#include "report/model/report.def"

/// The same for the keys of the document itself, but for `schema` and `vramtrack_version`.
template <MaybeConst<Report> Self, class Visit>
void each_section(Self& self, const Visit& visit) {
#define RECORD(type, what)
#define FIELD(type, name, initial, rule, what)
#define END
#define REPORT_KEY(key, member, rule, what) visit(#key, self.member, rule, what);
#include "report/model/report.def"
}

namespace detail {
struct NoVisit {
  void operator()(const char*, const auto&, const FieldRule&, const char*) const {}
};
}  // namespace detail

/// One of the structs of report.def.
template <class Type>
concept Record = requires(const Type& record) {
  each_field(record, detail::NoVisit{});
};

}  // namespace vramtrack
