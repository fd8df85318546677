#include "sim/torch/python.hpp"

#include <dlfcn.h>

#include <atomic>
#include <string>
#include <utility>

namespace vramtrack::sim {
namespace {

PythonApi g_api;
std::atomic<bool> g_found{false};
PyThing* g_set_eval_frame = nullptr;  // written once, with the GIL

template <class F>
bool find(F& function, const char* name) {
  function = reinterpret_cast<F>(::dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

bool find_all(PythonApi& api) {
  if (!find(api.is_initialized, "Py_IsInitialized")) return false;
  if (!find(api.is_finalizing, "Py_IsFinalizing") && !find(api.is_finalizing, "_Py_IsFinalizing")) return false;
  find(api.gc_disable, "PyGC_Disable");
  find(api.gc_enable, "PyGC_Enable");
  find(api.thread_state, "PyThreadState_Get");
  find(api.enter_tracing, "PyThreadState_EnterTracing");
  find(api.leave_tracing, "PyThreadState_LeaveTracing");
  return find(api.gil_ensure, "PyGILState_Ensure") && find(api.gil_release, "PyGILState_Release") &&
         find(api.unlock, "PyEval_SaveThread") && find(api.lock, "PyEval_RestoreThread") &&
         find(api.add_pending_call, "Py_AddPendingCall") && find(api.compile, "Py_CompileString") &&
         find(api.eval, "PyEval_EvalCode") && find(api.builtins, "PyEval_GetBuiltins") &&
         find(api.new_function, "PyCFunction_NewEx") && find(api.call, "PyObject_CallObject") &&
         find(api.new_dict, "PyDict_New") && find(api.dict_set, "PyDict_SetItemString") &&
         find(api.dict_get, "PyDict_GetItemString") && find(api.new_string, "PyUnicode_FromString") &&
         find(api.string_text, "PyUnicode_AsUTF8AndSize") && find(api.new_integer, "PyLong_FromLongLong") &&
         find(api.new_unsigned, "PyLong_FromUnsignedLongLong") && find(api.integer, "PyLong_AsLongLong") &&
         find(api.to_string, "PyObject_Str") && find(api.unsigned_mask, "PyLong_AsUnsignedLongLongMask") &&
         find(api.new_real, "PyFloat_FromDouble") && find(api.new_bool, "PyBool_FromLong") &&
         find(api.new_tuple, "PyTuple_New") && find(api.tuple_set, "PyTuple_SetItem") &&
         find(api.tuple_get, "PyTuple_GetItem") && find(api.tuple_size, "PyTuple_Size") &&
         find(api.none, "_Py_NoneStruct") && find(api.incref, "Py_IncRef") && find(api.decref, "Py_DecRef") &&
         find(api.fetch_error, "PyErr_Fetch") && find(api.restore_error, "PyErr_Restore");
}

/// Sets the frame compiler's callback (a reference that is given away) and returns the one before, or nullptr.
PyThing* set_eval_frame(const PythonApi& api, PyThing* callback) {
  PyThing* const arguments = api.new_tuple(1);
  api.tuple_set(arguments, 0, callback);
  PyThing* const previous = api.call(g_set_eval_frame, arguments);
  api.decref(arguments);
  return previous;
}

struct Error {
  PyThing *type, *value, *trace;
};

}  // namespace

const PythonApi* python_api() {
  if (g_found.load(std::memory_order_acquire)) return &g_api;
  PythonApi api{};
  if (!find_all(api)) return nullptr;
  g_api = api;  // two threads may both come here: they store the same values
  g_found.store(true, std::memory_order_release);
  return &g_api;
}

void switch_frame_compiler_with(PyThing* function) { g_set_eval_frame = function; }

PythonScope::PythonScope(const PythonApi& api) : m_api(api) {
  if (!api.is_initialized() || api.is_finalizing()) return;
  m_gil = api.gil_ensure();
  m_entered = true;
  api.fetch_error(&m_type, &m_value, &m_trace);
  if (api.gc_disable != nullptr && api.gc_enable != nullptr) m_collected = api.gc_disable();
  if (api.thread_state != nullptr && api.enter_tracing != nullptr && api.leave_tracing != nullptr) {
    m_thread = api.thread_state();
    api.enter_tracing(m_thread);
  }
  if (g_set_eval_frame == nullptr) return;
  api.incref(api.none);
  m_compiler = set_eval_frame(api, api.none);
  if (m_compiler == api.none) api.decref(std::exchange(m_compiler, nullptr));
}

PythonScope::~PythonScope() {
  if (!m_entered) return;
  if (m_compiler != nullptr) {
    PyThing *type = nullptr, *value = nullptr, *trace = nullptr;  // an error that our code let through
    m_api.fetch_error(&type, &value, &trace);
    if (PyThing* const ours = set_eval_frame(m_api, m_compiler)) m_api.decref(ours);
    m_api.restore_error(type, value, trace);
  }
  if (m_thread != nullptr) m_api.leave_tracing(m_thread);
  if (m_collected) m_api.gc_enable();
  m_api.restore_error(m_type, m_value, m_trace);
  m_api.gil_release(m_gil);
}

bool run_program(const PythonApi& api, std::string_view source, PyThing* globals) {
  api.dict_set(globals, "__builtins__", api.builtins());
  constexpr int file_input = 257;
  PyThing* const code = api.compile(std::string(source).c_str(), "<vramtrack-sim>", file_input);
  return code != nullptr && api.eval(code, globals, globals) != nullptr;
}

void hand_over_error(const PythonApi& api) {
  auto* const error = new Error{};
  api.fetch_error(&error->type, &error->value, &error->trace);
  if (error->type == nullptr) {
    delete error;
    return;
  }
  const auto raise = [](void* data) {
    auto* const kept = static_cast<Error*>(data);
    g_api.restore_error(kept->type, kept->value, kept->trace);
    delete kept;
    return -1;
  };
  if (api.add_pending_call(raise, error) != 0) {  // the queue is full: the exception is lost, as little as we can do
    api.decref(error->type);
    delete error;
  }
}

}  // namespace vramtrack::sim
