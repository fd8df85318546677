// File, line and inlined frames of an address from DWARF, through an index of our own: libdw's own scope search takes
// 17 ms an address in a large unit.
#pragma once

#include <elfutils/libdw.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "report/symbolize/native_frame.hpp"

namespace vramtrack {

class DebugLines {
 public:
  /// `dwarf` must outlive this; `folder` is that of its file.
  DebugLines(Dwarf* dwarf, const std::string& folder);

  /// The frames at an address of the file, innermost first: inlined functions, then the one that they are in. Empty
  /// when no unit covers the address.
  std::vector<NativeFrame> find(std::uint64_t address);

  std::size_t unit_count() const noexcept { return units_.size(); }
  /// A pipe or device that stands where a unit's other half should be, and was not opened; "" when there is none.
  const std::string& irregular() const { return irregular_; }

 private:
  struct UnitRange {
    std::uint64_t begin, end;
    std::uint32_t unit;
  };
  struct Scope {  // a range of a function or of an inlined call, with what it is inside of
    std::uint64_t begin, end;
    Dwarf_Off die;
    std::uint32_t depth;         // 0: a function
    std::uint32_t end_of_inner;  // functions: one past its inlined calls in scopes
  };
  struct Unit {
    Dwarf_Die die;        // has the line table
    Dwarf_Die functions;  // the tree of functions: the same, or the split file's
    bool indexed = false;
    std::vector<Scope> scopes;                // each function followed by its inlined calls, outermost first
    std::vector<std::uint32_t> functions_at;  // indices of functions in scopes, by begin
  };

  void index(Unit& unit);
  void index_children(Unit& unit, Dwarf_Die* parent, std::uint32_t depth);
  void add_scope(Unit& unit, Dwarf_Die* die, std::uint32_t depth);
  std::string name_of(Dwarf_Die* die);
  void set_line(Unit& unit, std::uint64_t address, NativeFrame& frame);
  void set_call_line(Unit& unit, Dwarf_Die* call, NativeFrame& frame);

  Dwarf* dwarf_;
  std::string irregular_;
  std::vector<Unit> units_;
  std::vector<UnitRange> ranges_;                     // by begin
  std::unordered_map<Dwarf_Off, std::string> names_;  // of functions, by the offset of their origin
};

}  // namespace vramtrack
