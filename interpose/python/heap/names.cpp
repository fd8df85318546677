// The names of references: what is at which key, index, attribute or variable of its holder.
#include "interpose/python/heap/graph_writer.hpp"
#include "interpose/python/heap/object_array.hpp"

namespace vramtrack::agent::heap {

using trace::GraphEdgeKind;

namespace {
constexpr std::uint64_t label_number(long long value) noexcept { return trace::heap_graph::zigzag(value); }

constexpr const char* module_tables[] = {"_parameters", "_buffers", "_modules"};
}  // namespace

/// The instance's own dict, made where the interpreter keeps the values without one: a new reference, or nullptr.
Object* GraphWriter::own_dict(Object* o) noexcept {
  Object* const type = type_of(o);
  const std::ptrdiff_t offset = dict_offset(type);
  if ((type_flags(type) & flag_managed_dict) == 0) {
    if (offset == 0) return nullptr;
    if (offset > 0 && field<Object*>(o, static_cast<std::size_t>(offset)) == nullptr) return nullptr;  // none yet
  }
  Object* const dict = api_.generic_dict(o, nullptr);
  if (dict == nullptr) api_.clear_error();
  return dict;
}

/// From now on `space` is shown as a part of its owner, if nothing else refers to it.
void GraphWriter::fold(Object* space, Number owner) noexcept {
  const Number n = space == nullptr ? none : walk_.find(space);
  if (n == none || !walk_.has(n, Walk::leads) || walk_.has(n, Walk::folded)) return;
  if (!walk_.has(n, Walk::module_space) && walk_.seen(n) != 1) return;
  walk_.set(n, Walk::folded);
  owners_[n] = owner + 1;
}

void GraphWriter::fold_spaces() noexcept {
  for (const Number n : order_) {
    if (walk_.is_storage(n)) continue;
    Object* const o = walk_.object(n);
    Object* const type = type_of(o);
    const std::uint64_t what = type_flags(type);
    if ((what & flag_type) != 0) {
      if ((type_flags(o) & flag_heap_type) != 0) fold(type_dict(o), n);
    } else if (type == api_.function_type) {
      fold(api_.function_closure(o), n);
      fold(api_.function_defaults(o), n);
      fold(api_.function_keyword_defaults(o), n);
    } else if (api_.is_subtype(type, api_.module_type) != 0) {
      fold(api_.module_dict(o), n);
      continue;
    }
    if (Object* const dict = own_dict(o)) {
      fold(dict, n);
      if ((walk_.type_info(type).bits & TypeInfo::nn_module) != 0) {
        for (const char* table : module_tables) {
          Object* const inner = api_.dict_get(dict, table);
          if (inner != nullptr && (type_flags(type_of(inner)) & flag_dict) != 0) fold(inner, n);
        }
      }
      api_.decref(dict);
    }
  }
}

// ---- edges ---------------------------------------------------------------------------------------------------------

void GraphWriter::edge_to(Number to, GraphEdgeKind kind, std::uint64_t label, std::uint64_t flags) noexcept {
  if (to == none || !walk_.has(to, Walk::leads) || walk_.has(to, Walk::root)) return;
  marks_[to] = from_;
  const std::uint32_t place = places_[to];
  if (place == 0) {
    ++omitted_edges_;
    return;
  }
  if (place == from_) return;  // a part of itself
  const trace::GraphEdge written{from_ - 1, place - 1, kind, label, flags};
  const std::size_t at = edges_.size();
  if (!edges_.resize(at + trace::heap_graph::max_edge_bytes)) {
    ++omitted_edges_;
    return;
  }
  const std::uint8_t* const end = trace::heap_graph::put(edges_.begin() + at, written, last_from_);
  edges_.resize(static_cast<std::size_t>(end - edges_.begin()));
  last_from_ = from_ - 1;
  ++edge_count_;
}

void GraphWriter::edge(Object* to, GraphEdgeKind kind, std::uint64_t label, std::uint64_t flags) noexcept {
  if (to != nullptr) edge_to(walk_.find(to), kind, label, flags);
}

/// The items of a dict; `kind` of those under strings: key, attribute, global.
void GraphWriter::dict_items(Object* dict, GraphEdgeKind kind) noexcept {
  std::ptrdiff_t position = 0;
  Object *key = nullptr, *value = nullptr;
  while (api_.dict_next(dict, &position, &key, &value) != 0) {
    const Number to = walk_.find(value);
    if (to != none && walk_.has(to, Walk::leads)) {
      if (walk_.has(to, Walk::folded)) continue;  // shown apart
      Object* const type = type_of(key);
      if ((type_flags(type) & flag_unicode) != 0) {
        edge_to(to, kind, text(key), 0);
      } else if (type == api_.long_type) {
        int overflow = 0;
        const long long number = api_.integer(key, &overflow);
        edge_to(to, GraphEdgeKind::key_number, label_number(number), 0);
      } else {
        TypeInfo& info = walk_.type_info(type);
        name_type(type, info);
        edge_to(to, GraphEdgeKind::key_other, info.name, 0);
      }
    }
    if ((type_flags(type_of(key)) & flag_has_gc) != 0) edge(key, GraphEdgeKind::member, 0);
  }
}

void GraphWriter::attributes(Number n, Object* o) noexcept {
  const GraphEdgeKind kind = attributes_are_context_ ? GraphEdgeKind::context : GraphEdgeKind::attribute;
  Object* const type = type_of(o);
  if (Object* const dict = own_dict(o)) {
    const Number space = walk_.find(dict);
    const bool apart = space != none && walk_.has(space, Walk::leads) && !walk_.has(space, Walk::folded);
    if (apart) {
      edge_to(space, GraphEdgeKind::attribute, texts_.add("__dict__"), 0);
    } else {
      dict_items(dict, kind);
      for (const char* table : module_tables) {
        Object* const inner = api_.dict_get(dict, table);
        const Number place = inner == nullptr ? none : walk_.find(inner);
        if (place == none || !walk_.has(place, Walk::folded) || owners_[place] != n + 1) continue;
        if (table[1] != 'm') {  // its own tensors
          std::ptrdiff_t position = 0;
          Object *key = nullptr, *value = nullptr;
          while (api_.dict_next(inner, &position, &key, &value) != 0) {
            const Number tensor = walk_.find(value);
            if (tensor != none)
              roles_[tensor] = static_cast<std::uint16_t>(
                  roles_[tensor] | (table[1] == 'p' ? trace::graph_parameter : trace::graph_buffer));
          }
        }
        dict_items(inner, kind);
      }
    }
    api_.decref(dict);
  }
  for (Object* base = type; base != nullptr; base = type_base(base)) {
    const Member* member = type_members(base);
    for (; member != nullptr && member->name != nullptr; ++member)
      if (is_object_member(*member) && member->offset > 0)
        edge(field<Object*>(o, static_cast<std::size_t>(member->offset)), kind, texts_.add(member->name));
  }
}

void GraphWriter::sequence_items(Object* o, std::uint64_t what) noexcept {
  const std::ptrdiff_t count = var_size(o);
  Object* (*const get)(Object*, std::ptrdiff_t) = (what & flag_list) != 0 ? api_.list_get : api_.tuple_get;
  for (std::ptrdiff_t i = 0; i < count; ++i) edge(get(o, i), GraphEdgeKind::index, static_cast<std::uint64_t>(i));
}

/// A deque shows its elements in order.
void GraphWriter::deque_items(Object* o) noexcept {
  struct Elements {
    GraphWriter& writer;
    Object* type;
    std::uint64_t index;
  } elements{*this, type_of(o), 0};
  const auto one = [](Object* child, void* context) {
    auto& all = *static_cast<Elements*>(context);
    if (child == nullptr || child == all.type) return 0;
    all.writer.edge(child, GraphEdgeKind::index, all.index++);
    return 0;
  };
  if (const Traverse traverse = type_traverse(type_of(o))) traverse(o, one, &elements);
}

/// An array's, too, over all of its dimensions.
void GraphWriter::array_items(Object* o) noexcept {
  struct Elements {
    GraphWriter& writer;
    std::uint64_t index;
  } elements{*this, 0};
  const auto one = [](Object* child, void* context) {
    auto& all = *static_cast<Elements*>(context);
    all.writer.edge(child, GraphEdgeKind::index, all.index++);
    return 0;
  };
  ObjectArray(o).each(one, &elements);
}

void GraphWriter::function_parts(Object* o) noexcept {
  Object* const code = api_.function_code(o);
  if (Object* const closure = api_.function_closure(o); closure != nullptr && code != nullptr) {
    Object* const names = api_.attribute(code, "co_freevars");
    for (std::ptrdiff_t i = 0; names != nullptr && i < var_size(closure) && i < var_size(names); ++i)
      edge(api_.tuple_get(closure, i), GraphEdgeKind::closure, text(api_.tuple_get(names, i)));
    if (names != nullptr) api_.decref(names);
  }
  if (Object* const defaults = api_.function_defaults(o); defaults != nullptr && code != nullptr) {
    if ((type_flags(type_of(defaults)) & flag_tuple) != 0) {
      Object* const names = api_.attribute(code, "co_varnames");
      const auto arguments = static_cast<std::ptrdiff_t>(attribute_number(code, "co_argcount"));
      const std::ptrdiff_t first = arguments - var_size(defaults);
      for (std::ptrdiff_t i = 0; names != nullptr && first >= 0 && i < var_size(defaults); ++i)
        edge(api_.tuple_get(defaults, i), GraphEdgeKind::default_value, text(api_.tuple_get(names, first + i)));
      if (names != nullptr) api_.decref(names);
    }
  }
  if (Object* const defaults = api_.function_keyword_defaults(o);
      defaults != nullptr && (type_flags(type_of(defaults)) & flag_dict) != 0)
    dict_items(defaults, GraphEdgeKind::default_value);
}

/// All references of a node: first those that can be named, then what is left of what the walk came along.
void GraphWriter::references_of(Number n) noexcept {
  from_ = places_[n];
  for (const Extra* extra = walk_.begin_extras(n); extra != walk_.end_extras(n); ++extra) {
    if (extra->kind == GraphEdgeKind::grad)
      roles_[extra->to] = static_cast<std::uint16_t>(roles_[extra->to] | trace::graph_gradient);
    const std::uint64_t label = extra->text != nullptr ? text(extra->text) : extra->number;
    edge_to(extra->to, extra->kind, label, extra->flags);
  }
  if (walk_.is_storage(n)) return;
  Object* const o = walk_.object(n);
  Object* const type = type_of(o);
  const std::uint64_t what = type_flags(type);
  const TypeInfo& info = walk_.type_info(type);
  attributes_are_context_ = walk_.part(n) != nullptr;
  if ((what & flag_type) != 0) {
    if ((type_flags(o) & flag_heap_type) != 0 && type_dict(o) != nullptr)
      dict_items(type_dict(o), GraphEdgeKind::attribute);
  } else if (api_.is_subtype(type, api_.module_type) != 0) {
    if (Object* const space = api_.module_dict(o)) dict_items(space, GraphEdgeKind::global);
  } else if (type == api_.function_type) {
    function_parts(o);
    attributes(n, o);
  } else if (type != api_.frame_type && (info.bits & TypeInfo::suspended) == 0) {
    if ((what & flag_dict) != 0) dict_items(o, GraphEdgeKind::key);
    if ((what & (flag_list | flag_tuple)) != 0) sequence_items(o, what);
    if ((info.bits & TypeInfo::deque) != 0) deque_items(o);
    if (walk_.is_object_array(o)) array_items(o);
    if (type != api_.dict_type && type != api_.list_type && type != api_.tuple_type) attributes(n, o);
  }
  const bool is_set = type == api_.set_type || type == api_.frozenset_type;
  const GraphEdgeKind rest = is_set                                ? GraphEdgeKind::member
                             : (info.bits & TypeInfo::tensor) != 0 ? GraphEdgeKind::hook
                                                                   : GraphEdgeKind::slot;
  const auto leftover = [&](Number holder) {
    for (const Number* to = walk_.begin_references(holder); to != walk_.end_references(holder); ++to) {
      if (marks_[*to] == from_ || walk_.has(*to, Walk::folded)) continue;
      edge_to(*to, rest, 0, 0);
    }
  };
  leftover(n);
  // A part of it may show references that have no name there (a view of a dict, a weak table).
  for (const Number* to = walk_.begin_references(n); to != walk_.end_references(n); ++to)
    if (walk_.has(*to, Walk::folded) && owners_[*to] == n + 1) leftover(*to);
}

}  // namespace vramtrack::agent::heap
