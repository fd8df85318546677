// How a field of the JSON report is written, and what may be in it: the fourth column of report.def.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vramtrack {

/// How a value stands in the document where its type alone does not say.
enum class Form : std::uint8_t {
  plain,
  null_if_empty,    // a text that is not known is null, never "": a reader must not mistake it
  absent_if_empty,  // a text, list or address (0) that is there in some reports only
};

struct FieldRule {
  Form form = Form::plain;
  std::string_view words = {};          // the only values, "a|b|c"; one more | at the end says nothing
  std::optional<std::int64_t> least{};  // the least value; unsigned numbers have 0
  std::size_t most_elements = 0;        // of a list; 0: any number
  bool is_date = false;                 // RFC 3339
  bool is_address = false;              // "0x7f00": readers that keep numbers as doubles would round it
  bool is_late = false;                 // reports of the first versions lack it
  bool merged_only = false;             // in merged reports alone
  bool lines = false;                   // its elements stand on a line each

  /// The same rule but for one member.
  template <class Member, class Value>
  constexpr FieldRule with(Member FieldRule::*member, Value value) const {
    FieldRule changed = *this;
    changed.*member = value;
    return changed;
  }

  constexpr FieldRule one_of(std::string_view all) const { return with(&FieldRule::words, all); }
  constexpr FieldRule at_least(std::int64_t value) const { return with(&FieldRule::least, std::optional(value)); }
  constexpr FieldRule at_most_elements(std::size_t count) const { return with(&FieldRule::most_elements, count); }
  constexpr FieldRule as_date() const { return with(&FieldRule::is_date, true); }
  constexpr FieldRule as_address() const { return with(&FieldRule::is_address, true); }
  constexpr FieldRule null_if_empty() const { return with(&FieldRule::form, Form::null_if_empty); }
  constexpr FieldRule absent_if_empty() const { return with(&FieldRule::form, Form::absent_if_empty).later(); }
  constexpr FieldRule later() const { return with(&FieldRule::is_late, true); }
  constexpr FieldRule in_merged_reports() const { return with(&FieldRule::merged_only, true).later(); }
  constexpr FieldRule by_lines() const { return with(&FieldRule::lines, true); }
};

inline constexpr FieldRule plain;
inline constexpr FieldRule by_lines = FieldRule{}.by_lines();

// Words and texts that several fields share.
inline constexpr std::string_view moments = "exit|peak|oom|live";
inline constexpr std::string_view layers = "cuda|tensor";
inline constexpr std::string_view kinds =
#define KIND(name, value, what) #name "|"
#include "contract/kinds.def"
    ;
inline constexpr std::string_view phases = "forward|backward|optimizer|data|other";

inline constexpr const char* about_layers =
    "Which of the two layers: `cuda` is memory obtained from CUDA; `tensor` is blocks that a caching allocator hands "
    "out "
    "from it. Never add the two up";
inline constexpr const char* about_kinds = "How the memory was obtained. The tensor layer has `block` only";
inline constexpr const char* about_devices = "Index of the CUDA device in the process; -1 is host memory";

}  // namespace vramtrack
