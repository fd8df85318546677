// CPython's objects as the capture reads them: plain memory and C API functions found by name. The offsets used here
// are the same in every build with a GIL from 3.9 to 3.14 (PyObject, PyVarObject, and PyTypeObject up to tp_free). All
// with the GIL held; nothing here runs Python code.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "interpose/python/python_api.hpp"

namespace vramtrack::agent::heap {

using Visit = int (*)(Object* child, void* context);
using Traverse = int (*)(Object* object, Visit visit, void* context);

template <class T>
T field(const void* object, std::size_t offset) noexcept {
  return *reinterpret_cast<const T*>(static_cast<const char*>(object) + offset);
}

inline Object* type_of(const Object* o) noexcept { return field<Object*>(o, 8); }
/// Its lower half: in later versions the upper one holds flags, and objects that never die have a very large count.
inline std::uint32_t reference_count(const Object* o) noexcept { return field<std::uint32_t>(o, 0); }
inline constexpr std::uint32_t immortal_count = 1u << 29;
inline std::ptrdiff_t var_size(const Object* o) noexcept { return field<std::ptrdiff_t>(o, 16); }

// Of a type.
inline const char* type_name(const Object* type) noexcept { return field<const char*>(type, 24); }
inline std::uint64_t type_flags(const Object* type) noexcept { return field<std::uint64_t>(type, 168); }
inline Traverse type_traverse(const Object* type) noexcept { return field<Traverse>(type, 184); }
inline Object* type_base(const Object* type) noexcept { return field<Object*>(type, 256); }
inline Object* type_dict(const Object* type) noexcept { return field<Object*>(type, 264); }
inline std::ptrdiff_t dict_offset(const Object* type) noexcept { return field<std::ptrdiff_t>(type, 288); }
inline int (*type_is_gc(const Object* type))(Object*) { return field<int (*)(Object*)>(type, 328); }

struct Member {  // PyMemberDef
  const char* name;
  int type;
  std::ptrdiff_t offset;
  int flags;
  const char* doc;
};
inline const Member* type_members(const Object* type) noexcept { return field<const Member*>(type, 240); }
inline bool is_object_member(const Member& member) noexcept {
  return (member.type == 6 || member.type == 16) && (member.flags & 8) == 0;  // T_OBJECT, T_OBJECT_EX; not relative
}

inline constexpr std::uint64_t flag_managed_dict = 1u << 4, flag_heap_type = 1u << 9, flag_has_gc = 1u << 14,
                               flag_long = 1u << 24, flag_list = 1u << 25, flag_tuple = 1u << 26,
                               flag_unicode = 1u << 28, flag_dict = 1u << 29, flag_exception = 1u << 30,
                               flag_type = 1u << 31;

/// What the capture needs besides the agent's own API.
struct HeapApi : PythonApi {
  int (*is_tracked)(Object*);
  int (*dict_next)(Object* dict, std::ptrdiff_t* position, Object** key, Object** value);
  Object* (*list_new)(std::ptrdiff_t size);
  int (*list_append)(Object* list, Object* item);
  Object* (*attribute)(Object* object, const char* name);  // a new reference; only of types that run no Python code
  Object* (*generic_dict)(Object* object, void*);          // a new reference
  Object* (*module_dict)(Object* module);                  // borrowed
  Object* (*function_code)(Object* function);              // borrowed, as the next three
  Object* (*function_closure)(Object* function);
  Object* (*function_defaults)(Object* function);
  Object* (*function_keyword_defaults)(Object* function);
  Object* (*frame_code)(Object* frame);  // a new reference
  long long (*integer)(Object* integer, int* overflow);
  // types
  Object *module_type, *function_type, *frame_type, *cell_type, *method_type, *traceback_type, *set_type,
      *frozenset_type, *long_type, *unicode_type, *generator_type, *coroutine_type, *async_generator_type, *type_type;
};

/// The functions and types, or nullptr when this interpreter lacks one (then there is no capture).
const HeapApi* heap_api() noexcept;

/// UTF-8 text of a string object, "" when it is none or has none. Valid while the string lives.
std::string_view text_of(const HeapApi& api, Object* string) noexcept;

inline bool is_gc(Object* o, std::uint64_t flags, Object* type) noexcept {
  if ((flags & flag_has_gc) == 0) return false;
  int (*const ask)(Object*) = type_is_gc(type);
  return ask == nullptr || ask(o) != 0;
}

}  // namespace vramtrack::agent::heap
