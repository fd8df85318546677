#include "report/symbolize/debug_lines.hpp"

#include <dwarf.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "report/symbolize/demangle.hpp"

namespace vramtrack {
namespace {

/// Calls visit(begin, end) for each address range of a DIE.
template <typename Visit>
void each_range(Dwarf_Die* die, Visit visit) {
  Dwarf_Addr base = 0, begin = 0, end = 0;
  std::ptrdiff_t offset = 0;
  while ((offset = dwarf_ranges(die, offset, &base, &begin, &end)) > 0) {
    if (begin < end && begin != 0) visit(begin, end);  // 0: the linker dropped the function
  }
}

const char* text_of(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  return dwarf_attr(die, name, &attribute) == nullptr ? nullptr : dwarf_formstring(&attribute);
}

/// A place at which libdw would look for a unit's other half (-gsplit-dwarf), and find something that it would wait for
/// or read a device from. "" when there is none.
std::string irregular_half(Dwarf_Die* unit, const std::filesystem::path& folder) {
  const char* name = text_of(unit, DW_AT_dwo_name);
  if (name == nullptr) name = text_of(unit, DW_AT_GNU_dwo_name);
  if (name == nullptr) return "";
  const char* const compiled_in = text_of(unit, DW_AT_comp_dir);
  const std::array places{folder / name, folder / (compiled_in == nullptr ? "" : compiled_in) / name};
  std::error_code error;
  for (const std::filesystem::path& place : places)
    if (std::filesystem::is_other(place, error) || std::filesystem::is_fifo(place, error)) return place.string();
  return "";
}

}  // namespace

DebugLines::DebugLines(Dwarf* dwarf, const std::string& folder) : dwarf_(dwarf) {
  Dwarf_CU* cu = nullptr;
  Dwarf_Half version = 0;
  std::uint8_t unit_type = 0;
  Dwarf_Die die, sub;
  std::vector<bool> whole;  // by unit: its other half may be opened
  while (dwarf_get_units(dwarf_, cu, &cu, &version, &unit_type, &die, nullptr) == 0) {
    const std::string place = unit_type == DW_UT_skeleton ? irregular_half(&die, folder) : "";
    whole.push_back(place.empty());
    if (!place.empty()) irregular_ = place;
  }
  cu = nullptr;
  for (const bool asked : whole) {
    sub = {};
    if (dwarf_get_units(dwarf_, cu, &cu, &version, &unit_type, &die, asked ? &sub : nullptr) != 0) break;
    if (unit_type != DW_UT_compile && unit_type != DW_UT_skeleton) continue;
    const auto unit = static_cast<std::uint32_t>(units_.size());
    const bool split = asked && unit_type == DW_UT_skeleton && dwarf_tag(&sub) != DW_TAG_invalid;
    units_.push_back({die, split ? sub : die, false, {}, {}});
    each_range(&die, [&](std::uint64_t begin, std::uint64_t end) { ranges_.push_back({begin, end, unit}); });
  }
  std::sort(ranges_.begin(), ranges_.end(), [](const UnitRange& a, const UnitRange& b) { return a.begin < b.begin; });
}

void DebugLines::add_scope(Unit& unit, Dwarf_Die* die, std::uint32_t depth) {
  const Dwarf_Off offset = dwarf_dieoffset(die);
  each_range(die, [&](std::uint64_t begin, std::uint64_t end) {
    unit.scopes.push_back({begin, end, offset, depth, 0});
  });
}

void DebugLines::index_children(Unit& unit, Dwarf_Die* parent, std::uint32_t depth) {
  constexpr std::uint32_t deepest = 200;  // of inlining; a damaged file must not exhaust the stack
  Dwarf_Die child;
  if (depth > deepest || dwarf_child(parent, &child) != 0) return;
  do {
    switch (dwarf_tag(&child)) {
      case DW_TAG_subprogram: {
        if (depth > 0) break;  // of a local class: listed again where its code is
        const std::size_t before = unit.scopes.size();
        add_scope(unit, &child, 0);
        const std::size_t first_inner = unit.scopes.size();
        if (first_inner == before) break;  // a declaration
        index_children(unit, &child, 1);
        for (std::size_t i = before; i < first_inner; ++i) {
          unit.scopes[i].end_of_inner = static_cast<std::uint32_t>(unit.scopes.size());
          unit.functions_at.push_back(static_cast<std::uint32_t>(i));
        }
        break;
      }
      case DW_TAG_inlined_subroutine:
        add_scope(unit, &child, depth);
        index_children(unit, &child, depth + 1);
        break;
      case DW_TAG_lexical_block:
      case DW_TAG_namespace:
      case DW_TAG_module:
        index_children(unit, &child, depth);
        break;
      default:
        break;
    }
  } while (dwarf_siblingof(&child, &child) == 0);
}

void DebugLines::index(Unit& unit) {
  unit.indexed = true;
  index_children(unit, &unit.functions, 0);
  std::sort(unit.functions_at.begin(), unit.functions_at.end(),
            [&](std::uint32_t a, std::uint32_t b) { return unit.scopes[a].begin < unit.scopes[b].begin; });
}

std::string DebugLines::name_of(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Attribute* found = dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute);
  if (found == nullptr) found = dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute);
  const char* const mangled = found == nullptr ? nullptr : dwarf_formstring(found);
  if (mangled != nullptr) return function_name(mangled);
  const char* const name = dwarf_diename(die);
  return name == nullptr ? std::string() : std::string(name);
}

void DebugLines::set_line(Unit& unit, std::uint64_t address, NativeFrame& frame) {
  Dwarf_Line* const line = dwarf_getsrc_die(&unit.die, address);
  if (line == nullptr) return;
  const char* const file = dwarf_linesrc(line, nullptr, nullptr);
  if (file != nullptr) frame.file = file;
  int number = 0;
  if (dwarf_lineno(line, &number) == 0) frame.line = number;
}

void DebugLines::set_call_line(Unit& unit, Dwarf_Die* call, NativeFrame& frame) {
  Dwarf_Attribute attribute;
  Dwarf_Word number = 0;
  if (dwarf_attr(call, DW_AT_call_line, &attribute) != nullptr && dwarf_formudata(&attribute, &number) == 0) {
    frame.line = static_cast<int>(number);
  }
  Dwarf_Files* files = nullptr;
  if (dwarf_attr(call, DW_AT_call_file, &attribute) == nullptr || dwarf_formudata(&attribute, &number) != 0 ||
      dwarf_getsrcfiles(&unit.die, &files, nullptr) != 0) {
    return;
  }
  const char* const file = dwarf_filesrc(files, number, nullptr, nullptr);
  if (file != nullptr) frame.file = file;
}

std::vector<NativeFrame> DebugLines::find(std::uint64_t address) {
  std::vector<NativeFrame> frames;
  auto range = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                [](std::uint64_t wanted, const UnitRange& r) { return wanted < r.begin; });
  if (range == ranges_.begin() || address >= (--range)->end) return frames;
  Unit& unit = units_[range->unit];
  if (!unit.indexed) index(unit);

  auto function =
      std::upper_bound(unit.functions_at.begin(), unit.functions_at.end(), address,
                       [&](std::uint64_t wanted, std::uint32_t scope) { return wanted < unit.scopes[scope].begin; });
  std::vector<const Scope*> chain;  // outermost first
  if (function != unit.functions_at.begin()) {
    const Scope& outer = unit.scopes[*--function];
    if (address < outer.end) {
      chain.push_back(&outer);
      for (std::uint32_t i = *function + 1; i < outer.end_of_inner; ++i) {
        const Scope& scope = unit.scopes[i];
        // Inlined calls are listed outermost first: one level deeper than the last match is inside of it.
        if (scope.depth == chain.size() && scope.begin <= address && address < scope.end) chain.push_back(&scope);
      }
    }
  }

  NativeFrame frame;
  set_line(unit, address, frame);
  Dwarf* const dwarf = dwarf_cu_getdwarf(unit.functions.cu);
  for (auto scope = chain.rbegin(); scope != chain.rend(); ++scope) {
    Dwarf_Die die;
    if (dwarf_offdie(dwarf, (*scope)->die, &die) == nullptr) break;
    const auto [name, added] = names_.try_emplace((*scope)->die);
    if (added) name->second = name_of(&die);
    frame.function = name->second;
    frame.inlined = (*scope)->depth > 0;
    frames.push_back(frame);
    frame = {};
    if ((*scope)->depth > 0) set_call_line(unit, &die, frame);
  }
  if (chain.empty() && frame.line > 0) frames.push_back(frame);
  return frames;
}

}  // namespace vramtrack
