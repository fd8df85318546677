// See walk.hpp: numbering, the walk from the roots, and the reverse walk from device memory.
#include "interpose/python/heap/walk.hpp"

#include <stdlib.h>
#include <string.h>

#include "interpose/core/clock.hpp"
#include "interpose/python/heap/object_array.hpp"

namespace vramtrack::agent::heap {

namespace {

// Keys: an object's address, or with these bits a storage's or a segment's.
constexpr std::uint64_t storage_bit = 1ull << 63, segment_bit = 1ull << 62;

constexpr std::ptrdiff_t large_container = 1 << 18;  // elements

int by_from(const void* a, const void* b) noexcept {
  const Number x = static_cast<const Extra*>(a)->from, y = static_cast<const Extra*>(b)->from;
  return x < y ? -1 : x > y ? 1 : 0;
}

}  // namespace

Walk::Walk(const HeapApi& api, const Limits& limits) noexcept
    : api_(api), limits_(limits), deadline_(thread_cpu_ns() + limits.nanoseconds) {}

bool Walk::late() noexcept {
  if (thread_cpu_ns() < deadline_) return false;
  flags |= trace::graph_out_of_time;
  return true;
}

Number Walk::number(Object* o) noexcept {
  const Number n = numbers_.add(reinterpret_cast<std::uint64_t>(o), limits_.objects);
  if (n == none || (n >= state_.size() &&
                    !(state_.resize(n + 1) && ours_.resize(n + 1) && seen_.resize(n + 1) && ranges_.resize(n + 1)))) {
    flags |= trace::graph_out_of_memory;
    return none;
  }
  return n;
}

TypeInfo& Walk::type_info(Object* type) noexcept {
  static TypeInfo no_memory{};
  const Number known = types_.add(reinterpret_cast<std::uint64_t>(type), 1u << 22);
  if (known == none) return no_memory;
  if (known < type_infos_.size()) return type_infos_[known];
  if (!type_infos_.push(TypeInfo{})) return no_memory;
  TypeInfo& info = type_infos_[known];
  const auto below = [&](Object* base) { return base != nullptr && api_.is_subtype(type, base) != 0; };
  if (below(tensor_type)) info.bits |= TypeInfo::tensor;
  if (below(nn_module_type)) info.bits |= TypeInfo::nn_module;
  if (below(optimizer_type)) info.bits |= TypeInfo::optimizer;
  // PyTorch's own nodes have a class for each operation and one way through them all.
  if (below(function_type) || (node_type != nullptr && type_traverse(type) == type_traverse(node_type)))
    info.bits |= TypeInfo::graph_node;
  if (type == api_.generator_type || type == api_.coroutine_type || type == api_.async_generator_type)
    info.bits |= TypeInfo::suspended;
  for (Object* base = type; base != nullptr; base = type_base(base)) {
    const char* const name = type_name(base);
    if (::strcmp(name, "collections.deque") == 0) info.bits |= TypeInfo::deque;
    if (::strcmp(name, "_CUDAGraph") == 0 || ::strcmp(name, "torch._C._CUDAGraph") == 0 ||
        ::strcmp(name, "_MemPool") == 0 || ::strcmp(name, "torch._C._MemPool") == 0)
      info.bits |= TypeInfo::cuda_graph;
  }
  return info;
}

// ---- what the caller knows ----------------------------------------------------------------------------------------

void Walk::hide(Object* o) noexcept {
  const Number n = number(o);
  if (n != none) set(n, root | hidden | reached | expanded);
}

void Walk::ours(Object* o) noexcept {
  const Number n = number(o);
  if (n != none && ours_[n] != 0xffff) ++ours_[n];
}

void Walk::ours_in(Object* container) noexcept {
  const auto count = [](Object* child, void* walk) {
    if (child != nullptr && (type_flags(type_of(child)) & flag_has_gc) != 0) static_cast<Walk*>(walk)->ours(child);
    return 0;
  };
  if (Traverse traverse = type_traverse(type_of(container))) traverse(container, count, this);
}

Number Walk::add_storage(const Storage& storage) noexcept {
  const Number n =
      number(reinterpret_cast<Object*>(storage.address | storage_bit | (storage.is_segment ? segment_bit : 0)));
  if (n != none && n == storages_.size()) {
    if (!storages_.push(storage)) flags |= trace::graph_out_of_memory;
    set(n, expanded);
    ++storages_met;
    if (!storage.is_segment) storage_bytes += storage.bytes;
  }
  return n < storages_.size() ? n : none;
}

namespace {
// A number whose facts stand at number - first; any other is left without.
template <class T>
Number keep(Number n, Number& first, PageVector<T>& all, const T& facts) noexcept {
  if (all.empty()) first = n;
  if (n == none || n - first != all.size() || !all.push(facts)) return none;
  return n;
}
}  // namespace

Number Walk::add_tensor(Object* o, const Tensor& tensor) noexcept {
  return keep(number(o), first_tensor_, tensors_, tensor);
}
Number Walk::add_frame(Object* o, const Frame& frame) noexcept { return keep(number(o), first_frame_, frames_, frame); }
Number Walk::add_part(Object* o, const GraphPart& part) noexcept { return keep(number(o), first_part_, parts_, part); }

void Walk::add_edge(const Extra& edge) noexcept {
  if (edge.from == none || edge.to == none) return;
  if (!extras_.push(edge)) flags |= trace::graph_out_of_memory;
}

void Walk::add_root(Object* o) noexcept {
  const Number n = number(o);
  if (n == none || has(n, root)) return;
  set(n, root | reached);
  queue_.push(n);
}

void Walk::add_module(Object* module) noexcept {
  add_root(module);
  if (api_.is_subtype(type_of(module), api_.module_type) == 0) return;
  Object* const space = api_.module_dict(module);
  if (space == nullptr) return;
  add_root(space);
  const Number n = number(space);
  if (n == none) return;
  set(n, module_space);
  modules_.push({number(module), n});
}

// ---- forward -------------------------------------------------------------------------------------------------------

int Walk::visit(Object* child, void* walk) noexcept { return static_cast<Walk*>(walk)->meet(child); }

int Walk::meet(Object* child) noexcept {
  if ((++references_met & 0x3fff) == 0 && late()) {
    stop_ = true;
    return 1;
  }
  if (child == nullptr) return 0;
  Object* const type = type_of(child);
  const std::uint64_t what = type_flags(type);
  if ((what & flag_has_gc) == 0 && !is_object_array(child) &&
      ((what & flag_heap_type) == 0 || (type_info(type).bits & TypeInfo::cuda_graph) == 0))
    return 0;
  const Number n = number(child);
  if (n == none || references_.size() >= limits_.references) {
    flags |= trace::graph_out_of_memory;
    stop_ = true;
    return 1;
  }
  if (seen_[n] != ~0u) ++seen_[n];
  if (has(n, root)) return 0;  // alive anyway: who else refers to it explains nothing
  if (child == current_type_) {
    if (!has(n, reached)) classes_.push({current_, n});
    return 0;
  }
  if (!references_.push(n) || !reach(n)) {
    flags |= trace::graph_out_of_memory;
    stop_ = true;
    return 1;
  }
  return 0;
}

bool Walk::reach(Number n) noexcept {
  if (has(n, static_cast<std::uint16_t>(mark_ | reached))) return true;
  set(n, mark_);
  return queue_.push(n);
}

bool Walk::is_object_array(const Object* o) const noexcept {
  return array_type != nullptr && type_of(o) == array_type && ObjectArray::is(o);
}

/// A frame of the agent: what its variables hold is no business of the script's.
bool Walk::ours_frame(Object* o) noexcept {
  Object* const code = api_.frame_code(o);
  if (code == nullptr) return true;
  Object* const file = api_.attribute(code, "co_filename");
  const std::string_view text = text_of(api_, file);
  const bool is_ours = text.substr(0, 10) == "<vramtrack";
  if (file != nullptr) api_.decref(file);
  api_.decref(code);
  return is_ours;
}

/// A container that would take a large part of the time: its turn comes when all others have had theirs.
bool Walk::put_off(Number n) noexcept {
  if (with_large_ || is_storage(n)) return false;
  const Object* const o = object(n);
  if ((type_flags(type_of(o)) & (flag_list | flag_tuple | flag_dict)) == 0 || var_size(o) < large_container)
    return false;
  return large_.push(n);
}

void Walk::expand(Number n) noexcept {
  if (has(n, expanded) || put_off(n)) return;
  set(n, expanded);
  ranges_[n] = {static_cast<std::uint32_t>(references_.size()), 0};
  if (is_storage(n)) return;
  Object* const o = object(n);
  Object* const type = type_of(o);
  const Traverse traverse = type_traverse(type);
  if (traverse != nullptr && is_gc(o, type_flags(type), type) &&
      (api_.is_tracked(o) != 0 || type == api_.tuple_type || type == api_.dict_type)) {
    if (type == api_.frame_type && ours_frame(o)) return;
    current_ = n;
    current_type_ = type;
    if (traverse(o, visit, this) != 0) set(n, cut);
    current_type_ = nullptr;
  } else if (is_object_array(o)) {
    current_ = n;
    Object* const base = ObjectArray::base(o);
    if (ObjectArray(o).each(visit, this) != 0 || (base != nullptr && meet(base) != 0)) set(n, cut);
  }
  ranges_[n].count = static_cast<std::uint32_t>(references_.size()) - ranges_[n].first;
  for (const Extra* extra = begin_extras(n); extra != end_extras(n); ++extra)
    if (!has(extra->to, root)) reach(extra->to);
}

void Walk::walk_queue() noexcept {
  const auto drain = [this] {
    while (queue_at_ < queue_.size() && !stop_) expand(queue_[queue_at_++]);
  };
  drain();
  with_large_ = true;
  for (const Number n : large_) {
    if (stop_)
      set(n, cut);
    else
      expand(n);
    drain();
  }
  with_large_ = false;
  large_.clear();
  for (; queue_at_ < queue_.size(); ++queue_at_) set(queue_[queue_at_], cut);
}

/// Classes that nothing but their objects leads to.
void Walk::follow_classes() noexcept {
  PageVector<Extra> found;
  for (std::size_t at = 0; at < classes_.size() && !stop_; ++at) {
    const Pair pair = classes_[at];
    if (has(pair.second, static_cast<std::uint16_t>(mark_ | reached))) continue;
    found.push({pair.first, pair.second, trace::GraphEdgeKind::class_of, 0, 0, nullptr});
    reach(pair.second);
    walk_queue();
  }
  classes_.clear();
  for (const Extra& extra : found) extras_.push(extra);
  sort_extras();
}

void Walk::sort_extras() noexcept {
  if (!extras_.empty()) ::qsort(extras_.begin(), extras_.size(), sizeof(Extra), by_from);
}

const Extra* Walk::begin_extras(Number n) const noexcept {
  const Extra* first = extras_.begin();
  std::size_t count = extras_.size();
  while (count > 0) {
    const std::size_t half = count / 2;
    if (first[half].from < n) {
      first += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return first;
}

const Extra* Walk::end_extras(Number n) const noexcept {
  const Extra* at = begin_extras(n);
  while (at != extras_.end() && at->from == n) ++at;
  return at;
}

void Walk::run(Object* known) noexcept {
  sort_extras();
  walk_queue();
  follow_classes();
  if (known != nullptr && !stop_) {
    walk_lost(known);
    if (!stop_) judge_lost();
  }
}

// ---- backward ------------------------------------------------------------------------------------------------------

void Walk::prune() noexcept {
  const std::size_t count = numbers_.size();
  PageVector<std::uint32_t> first;  // of the referrers of each number
  PageVector<Number> referrers;
  const auto each = [&](auto&& act) {
    for (Number from = 0; from < count; ++from)
      for (const Number* to = begin_references(from); to != end_references(from); ++to) act(from, *to);
    for (const Extra& extra : extras_)
      if (!has(extra.to, root)) act(extra.from, extra.to);
  };
  std::size_t references = 0;
  if (!first.resize(count + 1)) {
    flags |= trace::graph_out_of_memory;
    return;
  }
  each([&](Number, Number to) {
    ++first[to];
    ++references;
  });
  if (!referrers.resize(references)) {
    flags |= trace::graph_out_of_memory;
    return;
  }
  std::uint32_t sum = 0;
  for (std::size_t n = 0; n <= count; ++n) {
    sum += first[n];
    first[n] = sum;
  }
  each([&](Number from, Number to) { referrers[--first[to]] = from; });
  queue_.clear();
  queue_at_ = 0;
  for (Number n = 0; n < storages_.size(); ++n) {
    set(n, leads);
    queue_.push(n);
  }
  for (Number n = 0; n < count; ++n) {  // what owns memory that shows in no tensor
    if (is_storage(n) || (type_info(type_of(object(n))).bits & TypeInfo::cuda_graph) == 0) continue;
    set(n, leads);
    queue_.push(n);
  }
  while (queue_at_ < queue_.size()) {
    const Number to = queue_[queue_at_++];
    if (has(to, module_space)) {  // a module is known by its name, its dict is not
      for (const Pair& module : modules_)
        if (module.second == to && module.first != none) set(module.first, leads);
    }
    if (kept_nodes >= limits_.nodes) {
      set(to, omitted);
      ++omitted_nodes;
      flags |= trace::graph_too_large;
    } else {
      ++kept_nodes;
    }
    for (std::uint32_t at = first[to]; at < first[to + 1]; ++at) {
      const Number from = referrers[at];
      if (has(from, leads) || !has(from, reached | lost)) continue;
      set(from, leads);
      queue_.push(from);
    }
  }
}

}  // namespace vramtrack::agent::heap
