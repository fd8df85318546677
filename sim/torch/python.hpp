// The part of CPython's C API that computing values needs, found by name at run time. Objects are opaque. What needs
// the GIL is the caller's business.
#pragma once

#include <cstddef>
#include <string_view>

namespace vramtrack::sim {

struct PyThing;  // PyObject

struct PyMethod {  // PyMethodDef: unchanged since Python 2
  const char* name;
  PyThing* (*function)(PyThing* self, PyThing* arguments);
  int flags;
  const char* doc;
};
inline constexpr int py_varargs = 1;

struct PythonApi {
  int (*is_initialized)();
  int (*is_finalizing)();  // Py_IsFinalizing (3.13) or _Py_IsFinalizing
  int (*gil_ensure)();
  void (*gil_release)(int);
  void* (*unlock)();  // PyEval_SaveThread and PyEval_RestoreThread: around waiting
  void (*lock)(void*);
  int (*add_pending_call)(int (*)(void*), void*);

  PyThing* (*compile)(const char* text, const char* file, int start);
  PyThing* (*eval)(PyThing* code, PyThing* globals, PyThing* locals);
  PyThing* (*builtins)();
  PyThing* (*new_function)(PyMethod*, PyThing* self, PyThing* module);
  PyThing* (*call)(PyThing* callable, PyThing* arguments);

  PyThing* (*new_dict)();
  int (*dict_set)(PyThing* dict, const char* key, PyThing* value);
  PyThing* (*dict_get)(PyThing* dict, const char* key);  // borrowed
  PyThing* (*new_string)(const char* text);
  PyThing* (*to_string)(PyThing* object);  // str()
  const char* (*string_text)(PyThing* string, std::ptrdiff_t* bytes);
  PyThing* (*new_integer)(long long value);
  PyThing* (*new_unsigned)(unsigned long long value);
  long long (*integer)(PyThing* integer);
  unsigned long long (*unsigned_mask)(PyThing* integer);
  PyThing* (*new_real)(double value);
  PyThing* (*new_bool)(long value);
  PyThing* (*new_tuple)(std::ptrdiff_t size);
  int (*tuple_set)(PyThing* tuple, std::ptrdiff_t index, PyThing* value);  // steals
  PyThing* (*tuple_get)(PyThing* tuple, std::ptrdiff_t index);             // borrowed
  std::ptrdiff_t (*tuple_size)(PyThing* tuple);
  PyThing* none;  // Py_None itself

  void (*incref)(PyThing* object);
  void (*decref)(PyThing* object);
  void (*fetch_error)(PyThing** type, PyThing** value, PyThing** trace);
  void (*restore_error)(PyThing* type, PyThing* value, PyThing* trace);

  // Optional: keep the collector (3.10) and the program's trace functions (3.11) out of what we run.
  int (*gc_disable)();
  int (*gc_enable)();
  void* (*thread_state)();
  void (*enter_tracing)(void*);
  void (*leave_tracing)(void*);
};

/// The API of the interpreter in this process, or nullptr when there is none. Cached once found; any thread.
const PythonApi* python_api();

/// Runs a program of the simulation's own in `globals`, which gets the builtins. False with an error set. Needs the
/// GIL.
bool run_program(const PythonApi& api, std::string_view source, PyThing* globals);

/// `function`: torch._C._dynamo.eval_frame.set_eval_frame, kept for ever, or nullptr. From now on a PythonScope
/// switches the frame compiler off: below a function that is being compiled, it would compile ours. Needs the GIL.
void switch_frame_compiler_with(PyThing* function);

/// Holds the GIL, keeps a pending exception, the collector, trace functions and PyTorch's frame compiler out of what
/// runs meanwhile. False when Python cannot be run any more (it is finalizing).
class PythonScope {
 public:
  explicit PythonScope(const PythonApi& api);
  ~PythonScope();
  PythonScope(const PythonScope&) = delete;
  PythonScope& operator=(const PythonScope&) = delete;
  explicit operator bool() const { return m_entered; }

 private:
  const PythonApi& m_api;
  bool m_entered = false;
  int m_gil = 0, m_collected = 0;
  void* m_thread = nullptr;
  PyThing *m_type = nullptr, *m_value = nullptr, *m_trace = nullptr;
  PyThing* m_compiler = nullptr;  // the frame compiler's callback, while it is off
};

/// An exception that our code let through is not ours (a signal's handler raised it): the main thread gets it at its
/// next instruction, as if it had come there. Needs the GIL.
void hand_over_error(const PythonApi& api);

}  // namespace vramtrack::sim
