#include "sim/torch/tensors.hpp"

#include <dlfcn.h>

#include <cstring>
#include <string>

namespace vramtrack::sim {
namespace {

template <class F>
bool find(F& function, void* library, const char* name) {
  function = reinterpret_cast<F>(library == nullptr ? nullptr : dlsym(library, name));
  return function != nullptr;
}

std::uint64_t word_at(std::uint64_t object, std::ptrdiff_t offset) {
  std::uint64_t value;
  std::memcpy(&value, reinterpret_cast<const char*>(object) + offset, sizeof value);
  return value;
}

/// The only place of an object's first words that holds a value; 0 when there is none.
std::ptrdiff_t place_of(std::uint64_t value, std::uint64_t object) {
  constexpr std::ptrdiff_t words = 26;  // a TensorImpl has had 24 or 25 of them
  for (std::ptrdiff_t i = 1; i < words; ++i) {
    if (word_at(object, i * 8) == value) return i * 8;
  }
  return 0;
}

}  // namespace

bool TorchApi::find() {
  using sim::find;
  void* const cpu = dlopen("libtorch_cpu.so", RTLD_NOW | RTLD_NOLOAD);
  void* const python = dlopen("libtorch_python.so", RTLD_NOW | RTLD_NOLOAD);
  m_c10 = dlopen("libc10.so", RTLD_NOW | RTLD_NOLOAD);
  const char* const resize = "_ZN2at4_ops7resize_4callERKNS_6TensorEN3c108ArrayRefINS5_6SymIntEEE";
  const auto find_resize = [&](const char* optional) {
    return find(m_resize, cpu, (std::string(resize) + optional).c_str());
  };
  if (!find(m_threads, cpu, "_ZN2at15get_num_threadsEv") || !find(m_set_threads, cpu, "omp_set_num_threads"))
    m_set_threads = nullptr;
  find(m_records_graph, m_c10, "_ZN3c108GradMode10is_enabledEv");
  m_undefined = reinterpret_cast<std::uint64_t>(
      m_c10 == nullptr ? nullptr : dlsym(m_c10, "_ZN3c1019UndefinedTensorImpl10_singletonE"));
  return m_undefined != 0 && find(m_name, cpu, "_ZNK2at14RecordFunction4nameEv") &&
         find(m_alias, cpu, "_ZN2at4_ops5alias4callERKNS_6TensorE") &&
         find(m_object, python, "_ZN5torch3jit10toPyObjectEN3c106IValueE") &&
         // c10::optional became std::optional in 2.4 or so
         (find_resize("St8optionalINS5_12MemoryFormatEE") || find_resize("NS5_8optionalINS5_12MemoryFormatEEE")) &&
         find(m_is_observed, cpu, "_ZN2at23isRecordFunctionEnabledEv") &&
         find(m_observe, cpu, "_ZN2at20enableRecordFunctionEb") &&
         find(m_force_keys, m_c10, "_ZN3c104impl33_force_tls_local_dispatch_key_setENS0_19LocalDispatchKeySetE") &&
         dlsym(m_c10, "_ZN3c104impl26raw_local_dispatch_key_setE") != nullptr;
}

bool TorchApi::learn(const TensorFacts& facts) {
  m_facts = facts;
  m_keys_offset = place_of(facts.sample_keys, facts.sample);
  m_numel_offset = place_of(facts.sample_numel, facts.sample);
  return m_keys_offset != 0 && m_numel_offset != 0;
}

KeySet TorchApi::keys(const IValue& tensor) const { return word_at(tensor.payload, m_keys_offset); }

std::int64_t TorchApi::numel(const IValue& tensor) const {
  return static_cast<std::int64_t>(word_at(tensor.payload, m_numel_offset));
}

PyThing* TorchApi::alias(const IValue& tensor) const try {
  IValue own{0, IValue::tensor, 0};
  m_alias(&own.payload, &tensor.payload);
  PyThing* object = nullptr;
  m_object(&object, &own);  // takes the tensor out of `own`
  return object;
} catch (...) {
  return nullptr;
}

PyThing* TorchApi::object(const IValue& value, bool counted) const try {
  IValue copy = value;
  // The counts follow the vtable; in newer releases the weak count shares the word, above the strong one. The program
  // holds the object meanwhile, so that our count is never the last.
  auto* const count = counted ? reinterpret_cast<std::uint64_t*>(value.payload) + 1 : nullptr;
  if (count != nullptr) __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
  PyThing* object = nullptr;
  m_object(&object, &copy);
  if (count != nullptr && copy.tag == value.tag) __atomic_fetch_sub(count, 1, __ATOMIC_ACQ_REL);
  return object;
} catch (...) {
  return nullptr;
}

void TorchApi::resize(const IValue& tensor, const std::int64_t* sizes, std::size_t count) const try {
  m_resize(&tensor.payload, sizes, count, 0);
} catch (...) {  // out of memory: it keeps its size
}

TorchApi::OneThread::OneThread(const TorchApi& api) : m_api(api) {
  if (api.m_set_threads == nullptr) return;
  m_threads = api.m_threads();  // PyTorch's own, so that what it sets at a thread's first question is set by now
  if (m_threads > 1) api.m_set_threads(1);
}

TorchApi::OneThread::~OneThread() {
  if (m_threads > 1) m_api.m_set_threads(m_threads);
}

TorchApi::Scope::Scope(const TorchApi& api) : m_api(api), m_observed(api.m_is_observed()) {
  // A variable of the thread: its address must be asked for in each.
  m_keys = static_cast<std::uint64_t*>(dlsym(api.m_c10, "_ZN3c104impl26raw_local_dispatch_key_setE"));
  std::memcpy(m_saved, m_keys, sizeof m_saved);
  api.m_observe(false);
  if (api.m_facts.included != 0) api.m_force_keys(api.m_facts.included, api.m_facts.excluded);
}

TorchApi::Scope::~Scope() {
  std::memcpy(m_keys, m_saved, sizeof m_saved);
  m_api.m_observe(m_observed);
}

}  // namespace vramtrack::sim
