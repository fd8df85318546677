// See python_layout.hpp. Runs once in the traced process; reads only _PyRuntime's published table.
#include "interpose/stacks/python_layout.hpp"

#include <cstring>

namespace vramtrack::stacks {
namespace {

/// Objects: the header is ob_refcnt + ob_type, in free-threaded builds 32 bytes.
void set_objects(PythonLayout& l) noexcept {
  const std::uint32_t header = l.free_threaded ? 32 : 16;
  l.object_type = header - 8;
  l.var_size = header;
  l.bytes_data = header + 16;
  l.string_state = header + 16;
  const bool has_wstr = l.version < 0x30c;  // the wchar_t cache of str went with 3.12
  l.ascii_data = header + (has_wstr ? 32 : 24);
  l.compact_data = l.ascii_data + (has_wstr ? 24 : 16);
  l.type_dealloc = header + 32;  // ob_size, tp_name, tp_basicsize, tp_itemsize
  l.type_name = header + 8;
  l.cell_value = header;
}

/// 3.9 and 3.10: frames are objects.
void set_frame_objects(PythonLayout& l) noexcept {
  l.thread_id = 176;
  l.frame = 24;
  l.current_frame = -1;
  l.previous = 24;
  l.code = 32;
  l.instruction = l.version == 0x309 ? 104 : 96;
  l.lasti_scale = l.version == 0x309 ? 1 : 2;
  l.locals = l.version == 0x309 ? 360 : 352;
  l.local_count = 28;
  l.cell_names = 88;
  l.cell_to_argument = 96;
  l.file = 104;
  l.name = 112;
  l.line_table = 120;
  l.first_line = 40;
  l.instructions = 48;
}

void set_interpreter_frames(PythonLayout& l) noexcept {
  l.interpreter_frames = true;
  l.frame = 56;
  l.line_table = 136;
  l.qualname = 128;
  l.file = 112;
  l.name = 120;
  l.instruction = 56;
  l.flags = 64;
  l.flags_mask = 0xffull << 48;
  l.owner_shift = 48;
  l.locals = 72;
  if (l.version == 0x30b) {
    l.flags_mask = 0xffffull << 32;
    l.flags_shift = 16;
    l.owner_shift = 56;
    l.thread_id = 152;
    l.current_frame = 8;
    l.previous = 48;
    l.code = 32;
    l.owner = 69;
    l.is_entry = 68;
    l.first_line = 72;
    l.first_traceable = 168;
    l.instructions = 184;
  } else {
    l.thread_id = 136;
    l.current_frame = 0;
    l.previous = 8;
    l.code = 0;
    l.owner = 70;
    l.owner_shim = 3;  // FRAME_OWNED_BY_CSTACK
    l.first_line = 68;
    l.first_traceable = 176;
    l.instructions = 192;
  }
}

/// _Py_DebugOffsets of 3.13 and 3.14: "xdebugpy", version, free_threaded, then sections of 8-byte offsets, each led by
/// the size of its struct. 3.14 has longer sections.
bool set_published(PythonLayout& l, const void* runtime) noexcept {
  if (runtime == nullptr || std::memcmp(runtime, "xdebugpy", 8) != 0) return false;
  const auto* at = static_cast<const std::uint64_t*>(runtime);
  if (((at[1] >> 16) & 0xffff) != l.version || (at[2] != 0) != l.free_threaded) return false;
  const bool longer = l.version >= 0x30e;
  const auto* thread = at + 3 + 3 + (longer ? 16 : 13);  // after runtime_state (3 fields) and interpreter_state: size,
                                                         // prev, next, interp, current_frame, thread_id, ...
  const auto* frame = thread + 9;               // size, previous, executable, instr_ptr, localsplus, owner, ...
  const auto* code = frame + (longer ? 8 : 6);  // size, filename, name, qualname, linetable, firstlineno, ..., [9]
                                                // bytecode
  for (const auto* p = thread + 1; p < code + 9; ++p) {
    if (*p >= 1u << 16) return false;  // not an offset: the table is not what we think
  }
  l.interpreter_frames = true;
  l.current_frame = -1;
  l.frame = static_cast<std::uint32_t>(thread[4]);
  l.thread_id = static_cast<std::uint32_t>(thread[5]);
  l.previous = static_cast<std::uint32_t>(frame[1]);
  l.code = static_cast<std::uint32_t>(frame[2]);
  l.instruction = static_cast<std::uint32_t>(frame[3]);
  l.locals = static_cast<std::uint32_t>(frame[4]);
  l.owner = static_cast<std::uint32_t>(frame[5]);
  l.flags = l.owner & ~7u;  // the aligned word around it: at 70 in 3.13, at 74 in 3.14
  const std::uint32_t bit = 8 * (l.owner & 7);
  if (bit > 48) return false;
  l.flags_mask = 0xffull << bit;
  l.flags_shift = static_cast<std::uint8_t>(48 - bit);
  l.owner_shift = 48;
  l.owner_shim = 3;  // 3.13: FRAME_OWNED_BY_CSTACK; 3.14: FRAME_OWNED_BY_INTERPRETER, and the former is 4
  l.file = static_cast<std::uint32_t>(code[1]);
  l.name = static_cast<std::uint32_t>(code[2]);
  l.qualname = static_cast<std::int32_t>(code[3]);
  l.line_table = static_cast<std::uint32_t>(code[4]);
  l.first_line = static_cast<std::uint32_t>(code[5]);
  l.instructions = static_cast<std::uint32_t>(code[9]);
  l.first_traceable = l.instructions - 16;  // int _co_firsttraceable; void* co_extra; char co_code_adaptive[]
  return true;
}

}  // namespace

bool python_layout(std::uint32_t version, bool free_threaded, const void* runtime, PythonLayout& layout) noexcept {
  layout = PythonLayout{};
  layout.version = version;
  layout.free_threaded = free_threaded;
  layout.is_entry = -1;
  layout.qualname = -1;
  layout.owner_shim = 255;
  set_objects(layout);
  switch (version) {
    case 0x309:
    case 0x30a:
      set_frame_objects(layout);
      return true;
    case 0x30b:
    case 0x30c:
      set_interpreter_frames(layout);
      return true;
    case 0x30d:
      return set_published(layout, runtime);
    case 0x30e:
      // A free-threaded 3.14 runs per-thread copies of the bytecode, which come and go while their code object lives:
      // an instruction pointer does not say there which code it is.
      return !free_threaded && set_published(layout, runtime);
    default:
      return false;
  }
}

}  // namespace vramtrack::stacks
