// The walk over the Python heap: from the roots along tp_traverse, with the references that only PyTorch knows added.
// Runs in the traced process with the GIL held from beginning to end and calls nothing that runs Python code or gives
// the GIL away: the objects that it numbers cannot go meanwhile. Bounded in time, memory and number of objects; the
// deadline also holds within one huge container.
#pragma once

#include <cstdint>

#include "contract/heap_graph.hpp"
#include "interpose/python/heap/objects.hpp"
#include "interpose/python/heap/page_vector.hpp"

namespace vramtrack::agent::heap {

/// What the capture knows of a type; made at its first object.
struct TypeInfo {
  enum Bits : std::uint32_t {
    tensor = 1,
    nn_module = 2,
    optimizer = 4,
    deque = 8,
    cuda_graph = 16,  // a CUDA graph or memory pool, which own memory that no tensor shows
    suspended = 32,   // generators and coroutines
    graph_node = 64,  // a node of an autograd graph that Python refers to
  };
  std::uint32_t bits;
  trace::GraphString name;  // set by the writer
  trace::GraphString file;
  bool named;
  bool user_code;
};

struct Storage {  // numbers 0, 1, 2, ... are those of storages
  std::uint64_t address, bytes, birth;
  std::uint32_t site, step;
  std::int32_t device;
  bool is_block;              // of which a live block is known
  bool is_segment;            // of a caching allocator: its blocks are storages of their own
  bool is_mapped_in = false;  // memory of another process: several tensors may lie in what was mapped at once
};

struct Tensor {  // numbers from first_tensor
  std::uint64_t address, bytes, flags;
  std::int32_t device;
  std::int32_t cxx_holders;  // of its C++ object, its Python object left out; -1: not known
  Object *shape, *dtype;     // strings
};

struct Frame {  // numbers from first_frame
  std::uint64_t thread, depth, flags, line, first_line;
  Object *name, *file;
};

struct GraphPart {  // nodes of autograd graphs, numbers from first_part
  std::uint64_t sequence, step;
};

struct Extra {  // a reference that tp_traverse does not show
  Number from, to;
  trace::GraphEdgeKind kind;
  std::uint64_t flags;
  std::uint64_t number;  // label, where it is one
  Object* text;          // label, where it is a string
};

struct Limits {
  std::uint64_t nanoseconds = 1'000'000'000;  // of processor time, for the whole capture
  std::size_t objects = 6'000'000;
  std::size_t references = 24'000'000;
  std::size_t nodes = 1'000'000;
};

class Walk {
 public:
  enum State : std::uint16_t {
    reached = 1,  // from a root
    lost = 2,     // not reached, but the collector knows it
    root = 4,
    hidden = 8,  // of the agent itself
    expanded = 16,
    cut = 32,     // its references were not all followed
    unseen = 64,  // lost, with references that nothing met explains; and what these keep alive has `kept`
    kept = 128,
    garbage = 256,
    leads = 512,    // to device memory
    folded = 1024,  // shown as part of its owner
    omitted = 2048,
    module_space = 4096,  // the dict of a module in sys.modules
  };

  Walk(const HeapApi& api, const Limits& limits) noexcept;

  // ---- before run(), in this order ----
  void hide(Object* o) noexcept;
  /// One reference that the analysis itself holds.
  void ours(Object* o) noexcept;
  /// What a container of the analysis holds.
  void ours_in(Object* container) noexcept;
  Number add_storage(const Storage& storage) noexcept;          // all of them before anything else is numbered
  Number add_tensor(Object* o, const Tensor& tensor) noexcept;  // then these
  Number add_frame(Object* o, const Frame& frame) noexcept;
  Number add_part(Object* o, const GraphPart& part) noexcept;
  void add_edge(const Extra& edge) noexcept;
  void add_root(Object* o) noexcept;
  void add_module(Object* module) noexcept;

  /// Walks from the roots; then, if `known` is a list of what the collector tracks, what is in it and was not reached.
  void run(Object* known) noexcept;
  /// Marks what leads to a storage.
  void prune() noexcept;

  // ---- afterwards ----
  const HeapApi& api() const noexcept { return api_; }
  std::size_t size() const noexcept { return numbers_.size(); }
  bool has(Number n, std::uint16_t states) const noexcept { return (state_[n] & states) != 0; }
  void set(Number n, std::uint16_t states) noexcept { state_[n] = static_cast<std::uint16_t>(state_[n] | states); }
  bool is_storage(Number n) const noexcept { return n < storages_.size(); }
  Object* object(Number n) const noexcept { return reinterpret_cast<Object*>(numbers_.key(n)); }
  Number find(const Object* o) noexcept { return numbers_.find(reinterpret_cast<std::uint64_t>(o)); }
  Number number(Object* o) noexcept;
  TypeInfo& type_info(Object* type) noexcept;
  const Storage& storage(Number n) const noexcept { return storages_[n]; }
  const Tensor* tensor(Number n) const noexcept { return within(n, first_tensor_, tensors_); }
  const Frame* frame(Number n) const noexcept { return within(n, first_frame_, frames_); }
  const GraphPart* part(Number n) const noexcept { return within(n, first_part_, parts_); }
  std::uint32_t seen(Number n) const noexcept { return seen_[n]; }
  std::uint32_t own_references(Number n) const noexcept { return ours_[n]; }
  /// Targets of the references that tp_traverse showed; `none` among them where one was left out.
  const Number* begin_references(Number n) const noexcept { return references_.begin() + ranges_[n].first; }
  const Number* end_references(Number n) const noexcept { return begin_references(n) + ranges_[n].count; }
  /// The extra references from a node.
  const Extra* begin_extras(Number n) const noexcept;
  const Extra* end_extras(Number n) const noexcept;
  bool late() noexcept;  // past the deadline
  /// An array of NumPy's whose elements are objects.
  bool is_object_array(const Object* o) const noexcept;

  std::uint32_t flags = 0;  // GraphRecordFlags
  std::uint64_t references_met = 0, storages_met = 0, storage_bytes = 0;
  std::uint64_t omitted_nodes = 0;
  std::size_t kept_nodes = 0;
  Object* tensor_type = nullptr;  // torch.Tensor and its like, set before run(); borrowed
  Object* node_type = nullptr;    // any class of PyTorch's own graph nodes, and that of custom functions
  Object* function_type = nullptr;
  Object* nn_module_type = nullptr;
  Object* optimizer_type = nullptr;
  Object* array_type = nullptr;  // numpy.ndarray, or nullptr

 private:
  struct Range {
    std::uint32_t first, count;
  };
  struct Pair {
    Number first, second;
  };
  template <class T>
  static const T* within(Number n, Number first, const PageVector<T>& all) noexcept {
    return n >= first && n - first < all.size() ? &all[n - first] : nullptr;
  }

  static int visit(Object* child, void* walk) noexcept;
  int meet(Object* child) noexcept;
  bool reach(Number n) noexcept;
  bool put_off(Number n) noexcept;
  void expand(Number n) noexcept;
  void walk_queue() noexcept;
  void follow_classes() noexcept;
  void sort_extras() noexcept;
  bool ours_frame(Object* o) noexcept;
  void walk_lost(Object* known) noexcept;
  void judge_lost() noexcept;
  std::int64_t unexplained(Number n, const PageVector<std::uint16_t>& cxx) noexcept;

  const HeapApi& api_;
  const Limits limits_;
  std::uint64_t deadline_;
  Numbering numbers_;
  PageVector<std::uint16_t> state_, ours_;
  PageVector<std::uint32_t> seen_;
  PageVector<Range> ranges_;
  PageVector<Number> references_, queue_;
  std::size_t queue_at_ = 0;
  PageVector<Number> large_;
  bool with_large_ = false;
  PageVector<Extra> extras_;
  PageVector<Pair> classes_;  // object, its class
  PageVector<Pair> modules_;  // module, its dict
  PageVector<Storage> storages_;
  PageVector<Tensor> tensors_;
  PageVector<Frame> frames_;
  PageVector<GraphPart> parts_;
  Number first_tensor_ = 0, first_frame_ = 0, first_part_ = 0;
  Numbering types_;
  PageVector<TypeInfo> type_infos_;
  // of the object that is being traversed
  Number current_ = none;
  Object* current_type_ = nullptr;
  std::uint16_t mark_ = reached;
  bool stop_ = false;
};

}  // namespace vramtrack::agent::heap
