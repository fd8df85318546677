// Where the fields of CPython's frames, code objects and strings lie, per version. No Python header is used at build
// time: the numbers of 3.9 to 3.12 are those of the public headers of each minor version (they do not change within
// one), 3.13 and 3.14 publish theirs in _PyRuntime. Checked against the live interpreter before first use.
#pragma once

#include <cstdint>

namespace vramtrack::stacks {

struct PythonLayout {
  std::uint32_t version = 0;  // major << 8 | minor
  bool interpreter_frames;    // 3.11+: _PyInterpreterFrame; before: PyFrameObject
  bool free_threaded;

  // thread state
  std::uint32_t thread_id;     // pthread_self() of the thread: used to check the table
  std::uint32_t frame;         // innermost frame; 3.11 and 3.12: pointer to a _PyCFrame, see current_frame
  std::int32_t current_frame;  // within _PyCFrame, or -1: `frame` is the frame itself

  // frame
  std::uint32_t previous;
  std::uint32_t code;
  std::uint32_t instruction;  // 3.9, 3.10: int f_lasti; later: a pointer into the code object
  std::uint32_t owner;        // 3.11+
  std::int32_t is_entry;      // 3.11 only, else -1
  std::uint32_t flags;        // 3.11+: a word that holds the owner, and in 3.11 is_entry below it
  std::uint64_t flags_mask;   // what of that word matters
  std::uint8_t flags_shift;   // what brings it to bits 48 to 63
  std::uint8_t owner_shift;   // where the owner is then
  std::uint8_t owner_shim;    // owner values from here on mark a frame of the interpreter's own (3.12+), else 255
  std::uint8_t lasti_scale;   // 3.9: f_lasti counts bytes, 3.10: code units of 2 bytes
  std::uint32_t locals;       // the local variables, arguments first

  // code object
  std::uint32_t file, name, line_table, first_line;
  std::int32_t qualname;          // -1 before 3.11
  std::uint32_t first_traceable;  // 3.11+
  std::uint32_t instructions;     // 3.11+: offset of the bytecode; 3.9, 3.10: of a pointer to bytes
  std::uint32_t local_count, cell_names, cell_to_argument;  // 3.9, 3.10: cells stand behind the locals

  // objects
  std::uint32_t object_type;   // ob_type
  std::uint32_t var_size;      // ob_size of bytes, length of str
  std::uint32_t bytes_data;    // ob_sval
  std::uint32_t string_state;  // bit field of str
  std::uint32_t ascii_data, compact_data;
  std::uint32_t type_dealloc;  // tp_dealloc of a type
  std::uint32_t type_name;     // tp_name
  std::uint32_t cell_value;    // ob_ref of a cell
};

/// The layout of `version` (major << 8 | minor). `runtime` is the address of _PyRuntime, or null. False: unknown.
bool python_layout(std::uint32_t version, bool free_threaded, const void* runtime, PythonLayout& layout) noexcept;

}  // namespace vramtrack::stacks
