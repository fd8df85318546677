// Builds one fact (contract/fact_encoding.hpp) on pages of its own and writes it as a note. For the rare moments of a
// process's life: not for the way of an event. Not thread-safe; no heap, errno may change.
//
// A fact is as long as it needs to be. One that reaches its bound all the same ends behind the last whole element of a
// list that had room, with all that is open closed: what is there is valid, and complete() says that it is not all.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "contract/fact_encoding.hpp"
#include "contract/facts.hpp"

namespace vramtrack::trace {

class Writer;

class FactWriter {
 public:
  static constexpr std::size_t default_capacity = 1 << 20;  // address space: what is not used is never touched

  /// `most`: what it may grow to.
  explicit FactWriter(std::size_t capacity = default_capacity, std::size_t most = 0) noexcept;
  ~FactWriter();
  FactWriter(const FactWriter&) = delete;
  FactWriter& operator=(const FactWriter&) = delete;

  void begin_map() noexcept { begin(fact::code::map); }
  void begin_list() noexcept { begin(fact::code::list, true); }
  /// A list that is one element of another: like a map, it is there as a whole or not at all.
  void begin_row() noexcept { begin(fact::code::list); }
  void end() noexcept;

  void key(std::string_view name) noexcept { text(name); }
  void text(std::string_view value) noexcept;
  void number(std::uint64_t value) noexcept { head(fact::Major::number, value); }
  void flag(bool value) noexcept { byte(value ? fact::code::on : fact::code::off); }
  void null() noexcept { byte(fact::code::null); }

  // Fields of contract/facts.def, with the type that they have there. Of a map:
  void field(fact::Field<fact::Type::text> of, std::string_view value) noexcept { key(of.name), text(value); }
  void field(fact::Field<fact::Type::flag> of, std::same_as<bool> auto value) noexcept { key(of.name), flag(value); }
  template <std::unsigned_integral T>
  requires(!std::same_as<T, bool>) void field(fact::Field<fact::Type::number> of, T value) noexcept {
    key(of.name), number(value);
  }
  template <fact::Type type>
  void null_field(fact::Field<type> of) noexcept {
    key(of.name), null();
  }
  void begin_list(fact::Field<fact::Type::texts> of) noexcept { key(of.name), begin_list(); }
  void begin_list(fact::Field<fact::Type::parts> of) noexcept { key(of.name), begin_list(); }
  void begin_map(fact::Field<fact::Type::part> of) noexcept { key(of.name), begin_map(); }
  // Of a row, one after the other from position 0:
  void item(fact::Field<fact::Type::number>, std::uint64_t value) noexcept { number(value); }
  void item(fact::Field<fact::Type::text>, std::string_view value) noexcept { text(value); }

  bool complete() const noexcept { return !full_; }
  /// Closes what is open. The bytes are this object's.
  std::string_view bytes() noexcept;
  /// False when there is no trace, or no room in it (counted as a loss there).
  bool write(std::string_view note, std::uint32_t n = 0) noexcept;

 private:
  void begin(std::uint8_t container, bool may_be_cut = false) noexcept;
  void byte(std::uint8_t value) noexcept;
  void head(fact::Major major, std::uint64_t value) noexcept;
  void put(const void* from, std::size_t count) noexcept;
  bool make_room(std::size_t count) noexcept;

  unsigned char* at_;
  std::size_t capacity_, most_, used_ = 0;
  int levels_ = 0;
  bool full_ = false;
  std::size_t whole_ = 0;  // up to here all is whole; so many levels are open there
  int whole_levels_ = 0;
};

}  // namespace vramtrack::trace
