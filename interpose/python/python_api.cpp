#include "interpose/python/python_api.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <string_view>

#include "interpose/core/lock.hpp"

namespace vramtrack::agent {
namespace {

PythonApi g_api;
std::atomic<bool> g_found{false};

template <class F>
bool find(F& function, const char* name) noexcept {
  function = reinterpret_cast<F>(::dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

/// Where `int tracing` stands in PyThreadState of 3.8, 3.9 and 3.10: while it is not 0, no trace function is called.
constexpr std::size_t tracing_at = 44;

bool has_counter(const char* (*version)()) noexcept {
  const std::string_view text(version == nullptr ? "" : version());
  return text.starts_with("3.8.") || text.starts_with("3.9.") || text.starts_with("3.10.");
}

int& tracing_counter(const PythonApi& api) noexcept {
  return *reinterpret_cast<int*>(static_cast<std::byte*>(api.thread_state()) + tracing_at);
}

bool find_all(PythonApi& api) noexcept {
  // The first look-up decides for programs without Python: one failed dlsym and out.
  if (!find(api.is_initialized, "Py_IsInitialized")) return false;
  if (!find(api.is_finalizing, "Py_IsFinalizing") && !find(api.is_finalizing, "_Py_IsFinalizing")) return false;
  find(api.version, "Py_GetVersion");
  find(api.thread_state, "PyThreadState_Get");
  find(api.enter, "PyThreadState_EnterTracing");
  find(api.leave, "PyThreadState_LeaveTracing");
  api.counts_tracing = api.enter == nullptr && api.thread_state != nullptr && has_counter(api.version);
  return find(api.add_pending_call, "Py_AddPendingCall") && find(api.gil_ensure, "PyGILState_Ensure") &&
         find(api.gil_release, "PyGILState_Release") && find(api.gil_check, "PyGILState_Check") &&
         find(api.compile, "Py_CompileString") && find(api.eval, "PyEval_EvalCode") &&
         find(api.builtins, "PyEval_GetBuiltins") && find(api.new_function, "PyCFunction_NewEx") &&
         find(api.call, "PyObject_CallObject") && find(api.new_dict, "PyDict_New") &&
         find(api.dict_set, "PyDict_SetItemString") && find(api.dict_get, "PyDict_GetItemString") &&
         find(api.new_string, "PyUnicode_FromStringAndSize") && find(api.string_text, "PyUnicode_AsUTF8AndSize") &&
         find(api.encode, "PyUnicode_AsEncodedString") && find(api.bytes_text, "PyBytes_AsString") &&
         find(api.bytes_size, "PyBytes_Size") && find(api.new_integer, "PyLong_FromLongLong") &&
         find(api.new_unsigned, "PyLong_FromUnsignedLongLong") &&
         find(api.unsigned_mask, "PyLong_AsUnsignedLongLongMask") &&
         find(api.unsigned_value, "PyLong_AsUnsignedLongLong") && find(api.new_tuple, "PyTuple_New") &&
         find(api.tuple_set, "PyTuple_SetItem") && find(api.tuple_get, "PyTuple_GetItem") &&
         find(api.tuple_size, "PyTuple_Size") && find(api.list_size, "PyList_Size") &&
         find(api.list_get, "PyList_GetItem") && find(api.dict_size, "PyDict_Size") &&
         find(api.type_of, "PyObject_Type") && find(api.is_subtype, "PyType_IsSubtype") &&
         find(api.tuple_type, "PyTuple_Type") && find(api.list_type, "PyList_Type") &&
         find(api.dict_type, "PyDict_Type") && find(api.none, "_Py_NoneStruct") &&
         find(api.true_object, "_Py_TrueStruct") && find(api.false_object, "_Py_FalseStruct") &&
         find(api.build_bool, "PyBool_FromLong") && find(api.is_true, "PyObject_IsTrue") &&
         find(api.incref, "Py_IncRef") && find(api.decref, "Py_DecRef") && find(api.fetch_error, "PyErr_Fetch") &&
         find(api.restore_error, "PyErr_Restore") && find(api.error_occurred, "PyErr_Occurred") &&
         find(api.clear_error, "PyErr_Clear") && find(api.set_interrupt, "PyErr_SetInterrupt");
}

}  // namespace

const PythonApi* python_api() noexcept {
  if (g_found.load(std::memory_order_acquire)) return &g_api;
  const SignalsWait signals_wait;
  PythonApi api{};
  if (!find_all(api)) return nullptr;
  g_api = api;  // two threads may both come here: they store the same values
  g_found.store(true, std::memory_order_release);
  return &g_api;
}

const PythonApi* known_python_api() noexcept { return g_found.load(std::memory_order_acquire) ? &g_api : nullptr; }

void enter_tracing(const PythonApi& api) noexcept {
  if (api.counts_tracing)
    ++tracing_counter(api);
  else if (api.enter != nullptr && api.leave != nullptr && api.thread_state != nullptr)
    api.enter(api.thread_state());
}

void leave_tracing(const PythonApi& api) noexcept {
  if (api.counts_tracing)
    --tracing_counter(api);
  else if (api.enter != nullptr && api.leave != nullptr && api.thread_state != nullptr)
    api.leave(api.thread_state());
}

bool python_usable(const PythonApi& api) noexcept { return api.is_initialized() != 0 && api.is_finalizing() == 0; }

}  // namespace vramtrack::agent
