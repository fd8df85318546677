// PyTorch's tensors and its dispatcher's state, as far as computing values needs them: exported functions, found by
// name, and members whose places a known tensor shows.
#pragma once

#include <cstdint>

#include "sim/torch/python.hpp"
#include "sim/torch/record_function.hpp"

namespace vramtrack::sim {

/// c10::DispatchKeySet as a number.
using KeySet = std::uint64_t;

/// What the Python side finds out at the start (`facts()` in compute.py).
struct TensorFacts {
  std::uint64_t sample;  // address of a tensor's object, and what it holds:
  std::uint64_t sample_numel;
  KeySet sample_keys;
  KeySet cuda;                // keys that a plain CUDA tensor has
  KeySet odd;                 // keys of tensors that are not plain memory: subclasses, sparse, batched, ...
  KeySet included, excluded;  // the thread's key sets under which our own operators run: no autograd, no modes
};

class TorchApi {
 public:
  /// Finds the functions. False when one is missing.
  bool find();
  bool learn(const TensorFacts& facts);

  KeySet keys(const IValue& tensor) const;
  std::int64_t numel(const IValue& tensor) const;
  bool is_cuda(const IValue& tensor) const { return (keys(tensor) & m_facts.cuda) == m_facts.cuda; }
  bool is_odd(const IValue& tensor) const { return (keys(tensor) & m_facts.odd) != 0; }
  /// An undefined tensor is one object that all share.
  bool is_defined(const IValue& tensor) const { return tensor.payload != m_undefined; }
  const char* name(const RecordFunction* record) const { return m_name(record); }
  /// Whether this thread's operators are to be differentiated.
  bool records_graph() const { return m_records_graph != nullptr && m_records_graph(); }

  /// A Python tensor on the same memory: never the program's own tensor, which would get a Python object that stays.
  PyThing* alias(const IValue& tensor) const;
  /// Any other value; `counted` when its payload points to a counted object.
  PyThing* object(const IValue& value, bool counted) const;
  void resize(const IValue& tensor, const std::int64_t* sizes, std::size_t count) const;

  /// While it lives, operators of this thread use no others: for small tensors these cost more than they give, and on a
  /// busy machine OpenMP's barriers, which spin, take milliseconds each. Does nothing where PyTorch has no OpenMP.
  class OneThread {
   public:
    explicit OneThread(const TorchApi& api);
    ~OneThread();
    OneThread(const OneThread&) = delete;
    OneThread& operator=(const OneThread&) = delete;

   private:
    const TorchApi& m_api;
    int m_threads = 0;  // as it was; 0: left alone
  };

  /// While it lives, this thread's operators run below autograd, modes and observers.
  class Scope {
   public:
    explicit Scope(const TorchApi& api);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const TorchApi& m_api;
    bool m_observed;
    std::uint64_t m_saved[2] = {};
    std::uint64_t* m_keys;
  };

 private:
  using Alias = void(void* result, const void* self);
  using Object = void(void* result, IValue* value);
  using Resize = const void*(const void* self, const std::int64_t* sizes, std::size_t count, std::uint16_t format);
  const char* (*m_name)(const RecordFunction*) = nullptr;
  Alias* m_alias = nullptr;
  Object* m_object = nullptr;
  Resize* m_resize = nullptr;
  bool (*m_is_observed)() = nullptr;
  bool (*m_records_graph)() = nullptr;  // optional
  void (*m_observe)(bool) = nullptr;
  void (*m_force_keys)(KeySet included, KeySet excluded) = nullptr;
  int (*m_threads)() = nullptr;  // optional, both: at::get_num_threads and OpenMP's own, which is the thread's
  void (*m_set_threads)(int) = nullptr;
  void* m_c10 = nullptr;
  std::uint64_t m_undefined = 0;
  TensorFacts m_facts{};
  std::ptrdiff_t m_keys_offset = 0, m_numel_offset = 0;
};

}  // namespace vramtrack::sim
