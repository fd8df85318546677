#include "interpose/python/heap/objects.hpp"

#include <dlfcn.h>

#include <atomic>

namespace vramtrack::agent::heap {
namespace {

HeapApi g_heap_api;
std::atomic<bool> g_found{false};

template <class T>
bool find(T& place, const char* name) noexcept {
  place = reinterpret_cast<T>(::dlsym(RTLD_DEFAULT, name));
  return place != nullptr;
}

bool find_all(HeapApi& api) noexcept {
  const PythonApi* const python = python_api();
  if (python == nullptr) return false;
  static_cast<PythonApi&>(api) = *python;
  return find(api.is_tracked, "PyObject_GC_IsTracked") && find(api.dict_next, "PyDict_Next") &&
         find(api.list_new, "PyList_New") && find(api.list_append, "PyList_Append") &&
         find(api.attribute, "PyObject_GetAttrString") && find(api.generic_dict, "PyObject_GenericGetDict") &&
         find(api.module_dict, "PyModule_GetDict") && find(api.function_code, "PyFunction_GetCode") &&
         find(api.function_closure, "PyFunction_GetClosure") && find(api.function_defaults, "PyFunction_GetDefaults") &&
         find(api.function_keyword_defaults, "PyFunction_GetKwDefaults") && find(api.frame_code, "PyFrame_GetCode") &&
         find(api.integer, "PyLong_AsLongLongAndOverflow") && find(api.module_type, "PyModule_Type") &&
         find(api.function_type, "PyFunction_Type") && find(api.frame_type, "PyFrame_Type") &&
         find(api.cell_type, "PyCell_Type") && find(api.method_type, "PyMethod_Type") &&
         find(api.traceback_type, "PyTraceBack_Type") && find(api.set_type, "PySet_Type") &&
         find(api.frozenset_type, "PyFrozenSet_Type") && find(api.long_type, "PyLong_Type") &&
         find(api.unicode_type, "PyUnicode_Type") && find(api.generator_type, "PyGen_Type") &&
         find(api.coroutine_type, "PyCoro_Type") && find(api.async_generator_type, "PyAsyncGen_Type") &&
         find(api.type_type, "PyType_Type");
}

}  // namespace

const HeapApi* heap_api() noexcept {
  if (g_found.load(std::memory_order_acquire)) return &g_heap_api;
  HeapApi api{};
  if (!find_all(api)) return nullptr;
  g_heap_api = api;
  g_found.store(true, std::memory_order_release);
  return &g_heap_api;
}

std::string_view text_of(const HeapApi& api, Object* string) noexcept {
  if (string == nullptr || (type_flags(type_of(string)) & flag_unicode) == 0) return {};
  std::ptrdiff_t bytes = 0;
  const char* const text = api.string_text(string, &bytes);
  if (text == nullptr) {  // lone surrogates
    api.clear_error();
    return {};
  }
  return {text, static_cast<std::size_t>(bytes)};
}

}  // namespace vramtrack::agent::heap
