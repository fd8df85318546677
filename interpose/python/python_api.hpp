// The part of CPython's C API that the agent uses, found by name at run time: the library links no Python and is built
// without its headers. Objects are opaque. Any thread; what needs the GIL is the caller's business.
#pragma once

#include <cstddef>

namespace vramtrack::agent {

struct Object;  // PyObject

using CFunction = Object* (*)(Object* self, Object* arguments);
struct MethodDef {  // PyMethodDef: unchanged since Python 2
  const char* name;
  CFunction function;
  int flags;
  const char* doc;
};
inline constexpr int method_varargs = 1;

struct PythonApi {
  int (*is_initialized)();
  int (*is_finalizing)();  // Py_IsFinalizing (3.13) or _Py_IsFinalizing
  int (*add_pending_call)(int (*)(void*), void*);
  int (*gil_ensure)();
  void (*gil_release)(int);
  int (*gil_check)();

  Object* (*compile)(const char* text, const char* file, int start);  // Py_CompileString
  Object* (*eval)(Object* code, Object* globals, Object* locals);
  Object* (*builtins)();
  Object* (*new_function)(MethodDef*, Object* self, Object* module);
  Object* (*call)(Object* callable, Object* arguments);  // PyObject_CallObject

  Object* (*new_dict)();
  int (*dict_set)(Object* dict, const char* key, Object* value);
  Object* (*dict_get)(Object* dict, const char* key);  // borrowed
  Object* (*new_string)(const char* text, std::ptrdiff_t bytes);
  const char* (*string_text)(Object* string, std::ptrdiff_t* bytes);
  Object* (*encode)(Object* string, const char* encoding, const char* errors);  // bytes
  const char* (*bytes_text)(Object* bytes);
  std::ptrdiff_t (*bytes_size)(Object* bytes);
  Object* (*new_integer)(long long value);
  Object* (*new_unsigned)(unsigned long long value);
  unsigned long long (*unsigned_mask)(Object* integer);   // PyLong_AsUnsignedLongLongMask
  unsigned long long (*unsigned_value)(Object* integer);  // ~0 and an error where it is none
  Object* (*new_tuple)(std::ptrdiff_t size);
  int (*tuple_set)(Object* tuple, std::ptrdiff_t index, Object* value);  // steals
  Object* (*tuple_get)(Object* tuple, std::ptrdiff_t index);             // borrowed, NULL + error when out of range
  std::ptrdiff_t (*tuple_size)(Object* tuple);
  std::ptrdiff_t (*list_size)(Object* list);
  Object* (*list_get)(Object* list, std::ptrdiff_t index);  // borrowed
  std::ptrdiff_t (*dict_size)(Object* dict);
  Object* (*build_bool)(long value);
  int (*is_true)(Object* value);
  Object* (*type_of)(Object* value);  // a new reference
  int (*is_subtype)(Object* type, Object* base);
  Object *none, *true_object, *false_object, *tuple_type, *list_type, *dict_type;

  void (*incref)(Object* object);
  void (*decref)(Object* object);
  void (*fetch_error)(Object** type, Object** value, Object** trace);
  void (*restore_error)(Object* type, Object* value, Object* trace);
  Object* (*error_occurred)();
  void (*clear_error)();
  void (*set_interrupt)();

  // Optional: see enter_tracing().
  const char* (*version)();
  void* (*thread_state)();
  void (*enter)(void*);  // 3.11 and later
  void (*leave)(void*);
  bool counts_tracing;  // before: PyThreadState::tracing
};

/// The API of the interpreter in this process, or nullptr when there is none. Cached once found.
const PythonApi* python_api() noexcept;

/// Same, never looked for: nullptr before the first call of python_api() that found one. Any moment.
const PythonApi* known_python_api() noexcept;

/// Between the two, the script's trace and profile functions are not called in this thread. GIL held; may be nested.
void enter_tracing(const PythonApi& api) noexcept;
void leave_tracing(const PythonApi& api) noexcept;

/// Python can be run: initialized and not finalizing.
bool python_usable(const PythonApi& api) noexcept;

}  // namespace vramtrack::agent
