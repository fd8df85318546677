// The nodes of the graph: what each object that is left is called, and where its code stands; then the record.
#include <string.h>

#include "interpose/core/saved_errno.hpp"
#include "interpose/python/heap/graph_writer.hpp"
#include "interpose/python/heap/object_array.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::agent::heap {

using trace::GraphNode;
using trace::GraphNodeKind;

namespace {
constexpr std::uint64_t user_flag(bool user_code) noexcept {
  return user_code ? std::uint64_t{trace::graph_user_code} : 0;
}
}  // namespace

bool GraphWriter::is_user_file(std::string_view file) const noexcept {
  if (file.empty()) return false;
  if (file[0] == '<') return file == "<stdin>" || file.substr(0, 15) == "<ipython-input-";
  for (const std::string_view packages : {"/site-packages/", "/dist-packages/"})
    if (file.find(packages) != std::string_view::npos) return false;
  return around_.library.empty() || file.substr(0, around_.library.size()) != around_.library;
}

trace::GraphString GraphWriter::module_file(std::string_view module, bool& user_code) noexcept {
  if (module == "__main__") {
    user_code = true;
    return texts_.add(around_.main_file);
  }
  char name[256];
  if (module.empty() || module.size() >= sizeof name || around_.modules == nullptr) return 0;
  ::memcpy(name, module.data(), module.size());
  name[module.size()] = '\0';
  Object* const found = api_.dict_get(around_.modules, name);
  if (found == nullptr || api_.is_subtype(type_of(found), api_.module_type) == 0) return 0;
  Object* const space = api_.module_dict(found);
  const std::string_view file = space == nullptr ? "" : text_of(api_, api_.dict_get(space, "__file__"));
  user_code = is_user_file(file);
  return texts_.add(file);
}

/// `models.Net`, `collections.deque`, `list`. Reads the class's dict only: a metaclass may run code on attributes.
void GraphWriter::name_type(Object* type, TypeInfo& info) noexcept {
  if (info.named) return;
  info.named = true;
  const char* const name = type_name(type);
  std::string_view module;
  if ((type_flags(type) & flag_heap_type) != 0 && type_dict(type) != nullptr)
    module = text_of(api_, api_.dict_get(type_dict(type), "__module__"));
  if (module.empty() && ::strrchr(name, '.') != nullptr)
    module = {name, static_cast<std::size_t>(::strrchr(name, '.') - name)};
  info.file = module_file(module, info.user_code);
  char whole[TextTable::max_text];
  const std::size_t length = ::strlen(name);
  const bool named_with_it = ::strrchr(name, '.') != nullptr;
  if (module.empty() || module == "builtins" || named_with_it || module.size() + 1 + length > sizeof whole) {
    info.name = texts_.add({name, length});
    return;
  }
  ::memcpy(whole, module.data(), module.size());
  whole[module.size()] = '.';
  ::memcpy(whole + module.size() + 1, name, length);
  info.name = texts_.add({whole, module.size() + 1 + length});
}

/// Only of objects whose class is an exact built-in one: nothing of the script's runs.
trace::GraphString GraphWriter::attribute_text(Object* o, const char* name) noexcept {
  Object* const value = api_.attribute(o, name);
  if (value == nullptr) {
    api_.clear_error();
    return 0;
  }
  const trace::GraphString id = text(value);
  api_.decref(value);
  return id;
}

std::uint64_t GraphWriter::attribute_number(Object* o, const char* name) noexcept {
  Object* const value = api_.attribute(o, name);
  if (value == nullptr) {
    api_.clear_error();
    return 0;
  }
  const std::uint64_t number = type_of(value) == api_.long_type ? api_.unsigned_mask(value) : 0;
  api_.decref(value);
  return number;
}

void GraphWriter::describe_code(Object* code, GraphNode& node) noexcept {
  Object* const file = api_.attribute(code, "co_filename");
  if (file == nullptr) return api_.clear_error();
  const std::string_view path = text_of(api_, file);
  node.file = texts_.add(path);
  if (is_user_file(path)) node.flags |= trace::graph_user_code;
  api_.decref(file);
  node.first_line = attribute_number(code, "co_firstlineno");
}

void GraphWriter::describe(Number n, Object* o, GraphNode& node) noexcept {
  Object* const type = type_of(o);
  const std::uint64_t what = type_flags(type);
  TypeInfo& info = walk_.type_info(type);
  name_type(type, info);
  node.type_name = info.name;
  node.file = info.file;
  node.address = reinterpret_cast<std::uint64_t>(o);
  if (info.user_code) node.flags |= trace::graph_user_code;
  const std::uint32_t count = reference_count(o);
  const std::uint32_t own = walk_.own_references(n);
  node.references = count > own ? count - own : 0;
  node.references_seen = walk_.seen(n);
  if ((info.bits & TypeInfo::nn_module) != 0) node.flags |= trace::graph_nn_module;
  if ((info.bits & TypeInfo::optimizer) != 0) node.flags |= trace::graph_optimizer;
  if ((what & flag_exception) != 0 || type == api_.traceback_type) node.flags |= trace::graph_exception;
  if (const Frame* const frame = walk_.frame(n)) {
    node.kind = GraphNodeKind::frame;
    node.name = text(frame->name);
    const std::string_view file = text_of(api_, frame->file);
    node.file = texts_.add(file);
    node.flags = (node.flags & ~std::uint64_t{trace::graph_user_code}) | frame->flags | user_flag(is_user_file(file));
    node.line = frame->line;
    node.first_line = frame->first_line;
    node.thread = frame->thread;
    node.depth = frame->depth;
  } else if (const GraphPart* const part = walk_.part(n)) {
    node.kind = GraphNodeKind::graph_node;
    node.name = texts_.add(type_name(type));
    node.sequence = part->sequence;
    node.step = part->step;
  } else if ((info.bits & TypeInfo::tensor) != 0) {
    node.kind = GraphNodeKind::tensor;
    node.flags |= roles_[n];
    if (const Tensor* const tensor = walk_.tensor(n)) {
      node.data_address = tensor->address;
      node.bytes = tensor->bytes;
      node.flags |= tensor->flags;
      node.device = static_cast<std::uint64_t>(tensor->device) + 1;
      node.shape = text(tensor->shape);
      node.dtype = text(tensor->dtype);
    }
  } else if ((what & flag_type) != 0) {
    node.kind = GraphNodeKind::type;
    TypeInfo& own_info = walk_.type_info(o);
    name_type(o, own_info);
    node.name = own_info.name;
    node.file = own_info.file;
    node.flags = (node.flags & ~std::uint64_t{trace::graph_user_code}) | user_flag(own_info.user_code);
  } else if (api_.is_subtype(type, api_.module_type) != 0) {
    node.kind = GraphNodeKind::module;
    Object* const space = api_.module_dict(o);
    const std::string_view name = space == nullptr ? "" : text_of(api_, api_.dict_get(space, "__name__"));
    node.name = texts_.add(name);
    bool user_code = false;
    node.file = module_file(name, user_code);
    node.flags = (node.flags & ~std::uint64_t{trace::graph_user_code}) |
                 (name == "__main__" ? std::uint64_t{trace::graph_main} : 0) | user_flag(user_code);
  } else if (type == api_.function_type) {
    node.kind = GraphNodeKind::function;
    node.name = attribute_text(o, "__qualname__");
    node.flags &= ~std::uint64_t{trace::graph_user_code};
    if (Object* const code = api_.function_code(o)) describe_code(code, node);
    node.line = node.first_line;
  } else if (type == api_.frame_type) {
    node.kind = GraphNodeKind::frame;
    node.flags &= ~std::uint64_t{trace::graph_user_code};
    if (Object* const code = api_.frame_code(o)) {
      node.name = attribute_text(code, "co_qualname");
      if (node.name == 0) node.name = attribute_text(code, "co_name");
      describe_code(code, node);
      api_.decref(code);
    }
    node.line = attribute_number(o, "f_lineno");
  } else if ((info.bits & TypeInfo::cuda_graph) != 0) {
    node.kind = GraphNodeKind::cxx_root;
    node.name = info.name;
  } else if (type == api_.cell_type) {
    node.kind = GraphNodeKind::cell;
  } else if (walk_.is_object_array(o)) {
    node.kind = GraphNodeKind::container;
    node.length = static_cast<std::uint64_t>(ObjectArray(o).size());
  } else if ((what & (flag_dict | flag_list | flag_tuple)) != 0 || (info.bits & TypeInfo::deque) != 0 ||
             type == api_.set_type || type == api_.frozenset_type) {
    node.kind = GraphNodeKind::container;
    // list, tuple and deque: ob_size; dict: ma_used and set: used stand at the same place or behind `fill`
    const bool set = type == api_.set_type || type == api_.frozenset_type;
    node.length = static_cast<std::uint64_t>(set ? field<std::ptrdiff_t>(o, 24) : var_size(o));
    if ((info.bits & TypeInfo::deque) != 0) {
      const Object* base = type;
      while (::strcmp(type_name(base), "collections.deque") != 0) base = type_base(base);
      if (type == base) node.limit = attribute_number(o, "maxlen");
    }
  }
}

void GraphWriter::node(Number n) noexcept {
  GraphNode node;
  if (walk_.is_storage(n)) {
    const Storage& storage = walk_.storage(n);
    node.kind = GraphNodeKind::storage;
    node.data_address = storage.address;
    node.bytes = storage.bytes;
    node.device = static_cast<std::uint64_t>(storage.device) + 1;
    if (storage.is_segment) node.flags |= trace::graph_segment;
    if (storage.is_block) {
      node.block_bytes = storage.bytes;
      node.birth = storage.birth;
      node.step = storage.step + 1u;
      node.site = storage.site + 1u;
    }
  } else {
    describe(n, walk_.object(n), node);
  }
  if (walk_.has(n, Walk::root)) node.flags |= trace::graph_root;
  if (walk_.has(n, Walk::garbage)) node.flags |= trace::graph_garbage;
  if (walk_.has(n, Walk::unseen)) node.flags |= trace::graph_unseen_holder;
  if (walk_.has(n, Walk::cut)) node.flags |= trace::graph_cut;
  const std::size_t at = nodes_.size();
  if (!nodes_.resize(at + trace::heap_graph::max_node_bytes)) return;
  const std::uint8_t* const end = trace::heap_graph::put(nodes_.begin() + at, node);
  nodes_.resize(static_cast<std::size_t>(end - nodes_.begin()));
  ++node_count_;
}

void GraphWriter::code() noexcept {
  const std::size_t count = walk_.size();
  if (!places_.resize(count) || !owners_.resize(count) || !marks_.resize(count) || !roles_.resize(count) ||
      !order_.reserve(walk_.kept_nodes)) {
    walk_.flags |= trace::graph_out_of_memory;
    return;
  }
  for (Number n = 0; n < count; ++n)
    if (walk_.has(n, Walk::leads) && !walk_.has(n, Walk::omitted | Walk::hidden)) order_.push(n);
  fold_spaces();
  std::uint32_t nodes = 0;
  for (const Number n : order_)
    if (!walk_.has(n, Walk::folded)) places_[n] = ++nodes;
  for (const Number n : order_)
    if (walk_.has(n, Walk::folded)) places_[n] = places_[owners_[n] - 1];
  for (const Number n : order_)
    if (!walk_.has(n, Walk::folded)) references_of(n);
  for (const Number n : order_) {  // after the references, which tell their roles
    if (walk_.has(n, Walk::folded)) continue;
    node(n);
  }
  for (Number n = 0; n < count && walk_.is_storage(n); ++n)
    if (walk_.has(n, Walk::omitted)) omitted_bytes_ += walk_.storage(n).bytes;
}

bool GraphWriter::store(trace::HeapGraphRecord record, std::string_view note) noexcept {
  const SavedErrno keep;
  trace::Writer* const writer = trace::active();
  if (writer == nullptr) return false;
  record.bytes = sizeof record;
  record.flags = walk_.flags;
  record.objects = walk_.size();
  record.references = walk_.references_met;
  record.storages = walk_.storages_met;
  record.storage_bytes = walk_.storage_bytes;
  record.omitted_nodes = walk_.omitted_nodes;
  record.omitted_edges = omitted_edges_;
  record.omitted_bytes = omitted_bytes_;
  struct Part {
    trace::GraphSection type;
    const void* data;
    std::size_t bytes;
  };
  const Part parts[] = {{trace::GraphSection::strings, texts_.coded().begin(), texts_.coded().size()},
                        {trace::GraphSection::nodes, nodes_.begin(), nodes_.size()},
                        {trace::GraphSection::edges, edges_.begin(), edges_.size()},
                        {trace::GraphSection::note, note.data(), note.size()}};
  std::size_t bytes = sizeof record;
  for (const Part& part : parts)
    if (part.bytes != 0) bytes += sizeof(trace::GraphSectionHeader) + part.bytes;
  std::byte* const payload = writer->begin_record(bytes);
  if (payload == nullptr) return false;
  std::byte* at = payload;
  const auto put = [&at](const void* data, std::size_t size) {
    ::memcpy(at, data, size);
    at += size;
  };
  put(&record, sizeof record);
  for (const Part& part : parts) {
    if (part.bytes == 0) continue;
    const trace::GraphSectionHeader head{static_cast<std::uint32_t>(part.type), 0, part.bytes};
    put(&head, sizeof head);
    put(part.data, part.bytes);
  }
  trace::Writer::commit_record(payload, trace::RecordType::heap_graph);
  return true;
}

}  // namespace vramtrack::agent::heap
