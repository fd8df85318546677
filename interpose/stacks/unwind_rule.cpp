// See unwind_rule.hpp. Reads the .eh_frame of the object that holds the address, through its sorted index
// (.eh_frame_hdr), while a frame of that object is on the calling thread's stack: it cannot be unloaded meanwhile.
#include "interpose/stacks/unwind_rule.hpp"

#include <elf.h>
#include <link.h>

#include <cstring>

#include "interpose/core/lock.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/stacks/dwarf_reader.hpp"

namespace vramtrack::stacks {
namespace {

// DWARF's numbers of the registers: frame pointer, stack pointer, return address.
#if defined(__x86_64__)
constexpr std::uint64_t reg_bp = 6, reg_sp = 7, reg_ra = 16;
#elif defined(__aarch64__)
constexpr std::uint64_t reg_bp = 29, reg_sp = 31, reg_ra = 30;
#else
#error "tell the numbers of the registers on this machine"
#endif

struct Search {
  std::uintptr_t pc;
  const std::byte* index;  // .eh_frame_hdr
  const std::byte* index_end;
};

int match_object(dl_phdr_info* info, std::size_t, void* data) noexcept {
  auto& search = *static_cast<Search*>(data);
  bool holds = false;
  const ElfW(Phdr)* frames = nullptr;
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type == PT_LOAD && search.pc - (info->dlpi_addr + segment.p_vaddr) < segment.p_memsz) holds = true;
    if (segment.p_type == PT_GNU_EH_FRAME) frames = &segment;
  }
  if (!holds) return 0;
  if (frames != nullptr) {
    search.index = reinterpret_cast<const std::byte*>(info->dlpi_addr + frames->p_vaddr);
    search.index_end = search.index + frames->p_memsz;
  }
  return 1;
}

/// The entry of the sorted index that may cover `pc`: its FDE, or nullptr.
const std::byte* find_fde(const Search& search) noexcept {
  DwarfReader reader(search.index, search.index_end);
  const auto base = reinterpret_cast<std::uintptr_t>(search.index);
  const auto version = reader.fixed<std::uint8_t>();
  const auto frame_encoding = reader.fixed<std::uint8_t>();
  const auto count_encoding = reader.fixed<std::uint8_t>();
  const auto table_encoding = reader.fixed<std::uint8_t>();
  if (version != 1 || table_encoding != 0x3b) return nullptr;  // pairs of 32-bit offsets from the index
  reader.pointer(frame_encoding, base);
  const std::uint64_t count = reader.pointer(count_encoding, base);
  if (reader.failed() || count > static_cast<std::uint64_t>(search.index_end - reader.at()) / 8) return nullptr;
  const std::byte* const table = reader.at();
  const auto entry = [table](std::uint64_t i, std::size_t field) {
    std::int32_t value;
    std::memcpy(&value, table + i * 8 + field, sizeof value);
    return std::int64_t{value};
  };
  const auto wanted = static_cast<std::int64_t>(search.pc - base);
  std::uint64_t low = 0, high = count;
  while (low < high) {
    const std::uint64_t middle = (low + high) / 2;
    if (entry(middle, 0) <= wanted) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low == 0 ? nullptr : search.index + entry(low - 1, 4);
}

// ---- call frame instructions -------------------------------------------------------------------------------------

struct Place {  // how a register of the caller is found
  enum Kind : std::uint8_t { same, at_cfa, at_bp, undefined, other } kind = same;
  std::int64_t offset = 0;
};

struct Row {
  enum Cfa : std::uint8_t { by_register, at_bp, other } cfa = other;
  std::uint64_t cfa_register = 0;
  std::int64_t cfa_offset = 0;
  Place bp, ra;
};

struct Program {
  std::uint64_t code_unit = 1;
  std::int64_t data_unit = 1;
  std::uint8_t encoding = 0;  // of addresses
  bool signal = false;
};

/// DW_OP_breg<bp> n, alone or followed by DW_OP_deref.
bool bp_expression(DwarfReader reader, bool dereferenced, std::int64_t& offset) noexcept {
  constexpr std::uint8_t op_breg = 0x70 + reg_bp, op_deref = 0x06;
  if (reader.fixed<std::uint8_t>() != op_breg) return false;
  offset = reader.sleb();
  if (dereferenced && reader.fixed<std::uint8_t>() != op_deref) return false;
  return !reader.failed() && !reader.more();
}

class Machine {
 public:
  Machine(const Program& program, std::uintptr_t pc) noexcept : program_(program), pc_(pc) {}

  /// Runs instructions until the row of pc is complete.
  bool run(DwarfReader reader, std::uintptr_t location) noexcept {
    while (reader.more() && ok_) {
      const auto op = reader.fixed<std::uint8_t>();
      const std::uint64_t operand = op & 0x3f;
      switch (op >> 6) {
        case 1:
          location += operand * program_.code_unit;
          if (location > pc_) return true;
          continue;
        case 2:
          place(operand, {Place::at_cfa, static_cast<std::int64_t>(reader.uleb()) * program_.data_unit});
          continue;
        case 3:
          restore(operand);
          continue;
        default:
          break;
      }
      if (op >= 0x01 && op <= 0x04) {  // set_loc, advance_loc1, 2, 4
        if (op == 0x01) location = reader.pointer(program_.encoding, 0);
        if (op == 0x02) location += reader.fixed<std::uint8_t>() * program_.code_unit;
        if (op == 0x03) location += reader.fixed<std::uint16_t>() * program_.code_unit;
        if (op == 0x04) location += reader.fixed<std::uint32_t>() * program_.code_unit;
        if (location > pc_) return !reader.failed();
        continue;
      }
      step(op, reader);
    }
    return ok_ && !reader.failed();
  }

  void keep_initial() noexcept { initial_ = row_; }
  const Row& row() const noexcept { return row_; }

 private:
  void place(std::uint64_t reg, Place where) noexcept {
    if (reg == reg_bp) row_.bp = where;
    if (reg == reg_ra) row_.ra = where;
    if (reg == reg_sp) ok_ = false;  // the stack pointer is always the CFA in what we cover
  }

  void restore(std::uint64_t reg) noexcept {
    if (reg == reg_bp) row_.bp = initial_.bp;
    if (reg == reg_ra) row_.ra = initial_.ra;
  }

  void define_cfa(std::uint64_t reg, std::int64_t offset) noexcept {
    row_.cfa = Row::by_register;
    row_.cfa_register = reg;
    row_.cfa_offset = offset;
  }

  DwarfReader block(DwarfReader& reader) noexcept {
    const std::uint64_t bytes = reader.uleb();
    const std::byte* const start = reader.at();
    reader.skip(bytes);
    return {start, reader.failed() ? start : start + bytes};
  }

  void step(std::uint8_t op, DwarfReader& reader) noexcept {
    switch (op) {
      case 0x00:  // nop
        break;
      case 0x05: {  // offset_extended
        const std::uint64_t reg = reader.uleb();
        place(reg, {Place::at_cfa, static_cast<std::int64_t>(reader.uleb()) * program_.data_unit});
        break;
      }
      case 0x06:  // restore_extended
        restore(reader.uleb());
        break;
      case 0x07:  // undefined
        place(reader.uleb(), {Place::undefined, 0});
        break;
      case 0x08:  // same_value
        place(reader.uleb(), {Place::same, 0});
        break;
      case 0x09: {  // register
        const std::uint64_t reg = reader.uleb();
        reader.uleb();
        place(reg, {Place::other, 0});
        break;
      }
      case 0x0a:  // remember_state
        if (depth_ == sizeof saved_ / sizeof *saved_) {
          ok_ = false;
        } else {
          saved_[depth_++] = row_;
        }
        break;
      case 0x0b:  // restore_state
        if (depth_ == 0) {
          ok_ = false;
        } else {
          row_ = saved_[--depth_];
        }
        break;
      case 0x0c: {  // def_cfa
        const std::uint64_t reg = reader.uleb();
        define_cfa(reg, static_cast<std::int64_t>(reader.uleb()));
        break;
      }
      case 0x0d:  // def_cfa_register
        row_.cfa_register = reader.uleb();
        break;
      case 0x0e:  // def_cfa_offset
        row_.cfa_offset = static_cast<std::int64_t>(reader.uleb());
        break;
      case 0x0f: {  // def_cfa_expression
        row_.cfa = bp_expression(block(reader), true, row_.cfa_offset) ? Row::at_bp : Row::other;
        break;
      }
      case 0x10: {  // expression
        const std::uint64_t reg = reader.uleb();
        Place where{Place::at_bp, 0};
        if (!bp_expression(block(reader), false, where.offset)) where.kind = Place::other;
        place(reg, where);
        break;
      }
      case 0x11: {  // offset_extended_sf
        const std::uint64_t reg = reader.uleb();
        place(reg, {Place::at_cfa, reader.sleb() * program_.data_unit});
        break;
      }
      case 0x12: {  // def_cfa_sf
        const std::uint64_t reg = reader.uleb();
        define_cfa(reg, reader.sleb() * program_.data_unit);
        break;
      }
      case 0x13:  // def_cfa_offset_sf
        row_.cfa_offset = reader.sleb() * program_.data_unit;
        break;
      case 0x14:    // val_offset
      case 0x15: {  // val_offset_sf
        const std::uint64_t reg = reader.uleb();
        reader.uleb();
        place(reg, {Place::other, 0});
        break;
      }
      case 0x16: {  // val_expression
        const std::uint64_t reg = reader.uleb();
        block(reader);
        place(reg, {Place::other, 0});
        break;
      }
      case 0x2e:  // GNU_args_size
        reader.uleb();
        break;
#if defined(__aarch64__)
      case 0x2d:  // AARCH64_negate_ra_state: the return address is signed, or no longer; see plain_address
        break;
#endif
      default:
        ok_ = false;
    }
  }

  const Program& program_;
  std::uintptr_t pc_;
  Row row_, initial_, saved_[8];
  std::size_t depth_ = 0;
  bool ok_ = true;
};

UnwindRule rule_of(const Row& row) noexcept {
  if (row.ra.kind == Place::undefined) return UnwindRule::end_of_stack();
  if (row.ra.kind != Place::at_cfa) return {};
  auto cfa = UnwindRule::Cfa::none;
  if (row.cfa == Row::at_bp) cfa = UnwindRule::Cfa::at_bp;
  if (row.cfa == Row::by_register && row.cfa_register == reg_sp) cfa = UnwindRule::Cfa::sp;
  if (row.cfa == Row::by_register && row.cfa_register == reg_bp) cfa = UnwindRule::Cfa::bp;
  auto bp = UnwindRule::Bp::same;
  if (row.bp.kind == Place::at_cfa) bp = UnwindRule::Bp::at_cfa;
  if (row.bp.kind == Place::at_bp) bp = UnwindRule::Bp::at_bp;
  const bool covered = cfa != UnwindRule::Cfa::none && row.bp.kind <= Place::at_bp;
  const bool fits = UnwindRule::cfa_fits(row.cfa_offset) && UnwindRule::place_fits(row.bp.offset) &&
                    UnwindRule::place_fits(row.ra.offset);
  if (!covered || !fits) return {};
  return UnwindRule::make(cfa, row.cfa_offset, bp, row.bp.offset, row.ra.offset);
}

/// Reads an entry's length; its content follows. False for 64-bit and empty ones.
bool entry_bounds(const std::byte*& at, const std::byte*& end) noexcept {
  std::uint32_t length;
  std::memcpy(&length, at, sizeof length);
  if (length == 0 || length >= 0xfffffff0u) return false;
  at += 4;
  end = at + length;
  return true;
}

/// A CIE: what its FDEs share. The initial instructions are left to `initial`.
bool read_cie(const std::byte* at, Program& program, bool& augmented, DwarfReader& initial) noexcept {
  const std::byte* end = nullptr;
  if (!entry_bounds(at, end)) return false;
  DwarfReader reader(at, end);
  reader.fixed<std::uint32_t>();  // 0: a CIE
  const auto version = reader.fixed<std::uint8_t>();
  const auto* const augmentation = reinterpret_cast<const char*>(reader.at());
  while (reader.fixed<char>() != 0) {
  }
  if (reader.failed() || (version != 1 && version != 3)) return false;
  program.code_unit = reader.uleb();
  program.data_unit = reader.sleb();
  if ((version == 1 ? reader.fixed<std::uint8_t>() : reader.uleb()) != reg_ra) return false;
  augmented = augmentation[0] == 'z';
  if (augmented) {
    const std::uint64_t bytes = reader.uleb();
    DwarfReader data(reader.at(), end);
    reader.skip(bytes);
    for (const char* c = augmentation + 1; *c != 0; ++c) {
      if (*c == 'R') {
        program.encoding = data.fixed<std::uint8_t>();
      } else if (*c == 'P') {
        const auto encoding = data.fixed<std::uint8_t>();
        data.pointer(encoding & 0x7f, 0);
      } else if (*c == 'L') {
        data.fixed<std::uint8_t>();
      } else if (*c == 'S') {
        program.signal = true;
#if defined(__aarch64__)
      } else if (*c == 'B') {  // return addresses are signed with the other key
#endif
      } else {
        return false;
      }
    }
    if (data.failed()) return false;
  } else if (augmentation[0] != 0) {
    return false;
  }
  initial = reader;
  return !reader.failed();
}

}  // namespace

UnwindRule derive_rule(std::uintptr_t ip) noexcept {
  const SavedErrno keep;
  Search search{ip - 1, nullptr, nullptr};  // the call before the return address
  {
    const SignalsWait signals_wait;
    ::dl_iterate_phdr(match_object, &search);
  }
  if (search.index == nullptr) return {};
  const std::byte* at = find_fde(search);
  const std::byte* end = nullptr;
  if (at == nullptr || !entry_bounds(at, end)) return {};
  DwarfReader reader(at, end);
  const auto to_cie = reader.fixed<std::uint32_t>();
  Program program;
  bool augmented = false;
  DwarfReader initial(nullptr, nullptr);
  if (to_cie == 0 || !read_cie(at - to_cie, program, augmented, initial) || program.signal) return {};
  const std::uintptr_t start = reader.pointer(program.encoding, 0);
  const std::uintptr_t length = reader.pointer(program.encoding & 0x0f, 0);
  if (augmented) reader.skip(reader.uleb());
  if (reader.failed() || search.pc - start >= length) return {};
  Machine machine(program, search.pc);
  if (!machine.run(initial, 0)) return {};
  machine.keep_initial();
  if (!machine.run(reader, start)) return {};
  return rule_of(machine.row());
}

}  // namespace vramtrack::stacks
