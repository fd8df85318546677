#include "interpose/python/heap/capture.hpp"

#include <stdlib.h>
#include <string.h>

#include "interpose/core/clock.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/python/heap/graph_writer.hpp"
#include "interpose/python/heap/walk.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::agent::heap {

namespace {

/// One argument of ours: a list of tuples.
class Rows {
 public:
  Rows(const HeapApi& api, Object* list) noexcept
      : api_(api), list_((type_flags(type_of(list)) & flag_list) != 0 ? list : nullptr) {}
  std::ptrdiff_t size() const noexcept { return list_ == nullptr ? 0 : var_size(list_); }
  Object* row(std::ptrdiff_t i) const noexcept { return api_.list_get(list_, i); }
  Object* object(std::ptrdiff_t i, std::ptrdiff_t column) const noexcept { return api_.tuple_get(row(i), column); }
  std::uint64_t number(std::ptrdiff_t i, std::ptrdiff_t column) const noexcept {
    Object* const value = object(i, column);
    return type_of(value) == api_.long_type ? api_.unsigned_mask(value) : 0;
  }

 private:
  const HeapApi& api_;
  Object* list_;
};

int by_address(const void* a, const void* b) noexcept {
  const std::uint64_t x = static_cast<const Storage*>(a)->address, y = static_cast<const Storage*>(b)->address;
  return x < y ? -1 : x > y ? 1 : 0;
}

/// The live blocks, by address: what the caching allocators handed out, and what else was obtained from CUDA.
class LiveBlocks {
 public:
  LiveBlocks() noexcept {
    trace::Writer* const writer = trace::active();
    if (writer == nullptr) return;
    {
      const HookScope scope;
      ledger::book_waiting();
    }
    const std::uint64_t count = __atomic_load_n(&writer->header().block_slots, __ATOMIC_ACQUIRE);
    for (std::uint64_t i = 0; i < count; ++i) {
      const trace::Block* const block = writer->block(static_cast<std::uint32_t>(i));
      const std::uint64_t address = block == nullptr ? 0 : __atomic_load_n(&block->address, __ATOMIC_ACQUIRE);
      if (address == 0) continue;
      const trace::Site* const site = writer->site(block->site);
      if (site == nullptr) continue;
      auto& blocks = site->layer == static_cast<std::uint8_t>(Layer::tensor) ? tensor_ : cuda_;
      const bool mapped_in =
          site->kind == static_cast<std::uint8_t>(Kind::ipc) || site->kind == static_cast<std::uint8_t>(Kind::external);
      blocks.push({address, block->bytes, block->time, block->site, block->step, site->device, true, false, mapped_in});
    }
    for (auto* blocks : {&tensor_, &cuda_})
      if (!blocks->empty()) ::qsort(blocks->begin(), blocks->size(), sizeof(Storage), by_address);
  }

  /// The block that an address is in; for what no block is known of, a storage of its own.
  Storage at(std::uint64_t address, std::uint64_t bytes, std::int32_t device) const noexcept {
    for (const auto* blocks : {&tensor_, &cuda_})
      if (const Storage* const found = covering(*blocks, address)) {
        // A segment of a caching allocator is not a tensor's memory, nor is all that another process gave at once.
        if (blocks == &tensor_ || (found->address == address && !found->is_mapped_in)) return *found;
      }
    return {address, bytes, 0, 0, 0, device, false, false};
  }

  /// What an allocator obtained from CUDA at this address.
  Storage segment(std::uint64_t address) const noexcept {
    const Storage* const found = covering(cuda_, address);
    Storage storage = found != nullptr ? *found : Storage{address, 0, 0, 0, 0, 0, false, false};
    storage.is_segment = true;
    return storage;
  }

 private:
  static const Storage* covering(const PageVector<Storage>& blocks, std::uint64_t address) noexcept {
    std::size_t low = 0, high = blocks.size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (blocks[middle].address <= address)
        low = middle + 1;
      else
        high = middle;
    }
    if (low == 0) return nullptr;
    const Storage& block = blocks[low - 1];
    return address - block.address < block.bytes ? &block : nullptr;
  }

  PageVector<Storage> tensor_, cuda_;
};

struct Arguments {
  const HeapApi& api;
  Object* all;
  Object* operator[](std::ptrdiff_t i) const noexcept { return api.tuple_get(all, i); }
};

void give(Walk& walk, const HeapApi& api, const Arguments& arguments) noexcept {
  const Rows tensors(api, arguments[3]), edges(api, arguments[4]), frames(api, arguments[5]), parts(api, arguments[6]),
      roots(api, arguments[7]), hidden(api, arguments[8]), kept(api, arguments[9]);
  PageVector<Number> storage_of;  // of each tensor
  PageVector<Number> storage_to;  // of each edge that leads to a storage
  {
    const LiveBlocks blocks;
    for (std::ptrdiff_t i = 0; i < tensors.size(); ++i) {
      const std::uint64_t address = tensors.number(i, 1);
      const auto device = static_cast<std::int32_t>(tensors.number(i, 3));
      storage_of.push(address == 0 ? none : walk.add_storage(blocks.at(address, tensors.number(i, 2), device)));
    }
    for (std::ptrdiff_t i = 0; i < edges.size(); ++i) {
      const std::uint64_t address = edges.number(i, 1);  // an object: 0
      storage_to.push(address == 0 ? none
                                   : walk.add_storage((edges.number(i, 4) & trace::graph_to_segment) != 0
                                                          ? blocks.segment(address)
                                                          : blocks.at(address, 0, 0)));
    }
  }
  for (std::ptrdiff_t i = 0; i < tensors.size(); ++i)
    walk.add_tensor(tensors.object(i, 0),
                    {tensors.number(i, 1), tensors.number(i, 2), tensors.number(i, 4),
                     static_cast<std::int32_t>(tensors.number(i, 3)), static_cast<std::int32_t>(tensors.number(i, 7)),
                     tensors.object(i, 5), tensors.object(i, 6)});
  for (std::ptrdiff_t i = 0; i < frames.size(); ++i)
    walk.add_frame(frames.object(i, 0),
                   {frames.number(i, 1), frames.number(i, 2), frames.number(i, 3), frames.number(i, 6),
                    frames.number(i, 7), frames.object(i, 4), frames.object(i, 5)});
  for (std::ptrdiff_t i = 0; i < parts.size(); ++i)
    walk.add_part(parts.object(i, 0), {parts.number(i, 1), parts.number(i, 2)});
  for (std::ptrdiff_t i = 0; i < hidden.size(); ++i) walk.hide(hidden.row(i));

  for (std::ptrdiff_t i = 0; i < tensors.size(); ++i) {
    walk.ours(tensors.object(i, 0));
    if (storage_of[static_cast<std::size_t>(i)] != none)
      walk.add_edge({walk.find(tensors.object(i, 0)), storage_of[static_cast<std::size_t>(i)],
                     trace::GraphEdgeKind::storage, 0, 0, nullptr});
  }
  for (std::ptrdiff_t i = 0; i < frames.size(); ++i) walk.ours(frames.object(i, 0));
  for (std::ptrdiff_t i = 0; i < parts.size(); ++i) walk.ours(parts.object(i, 0));
  for (std::ptrdiff_t i = 0; i < kept.size(); ++i) walk.ours_in(kept.row(i));
  for (std::ptrdiff_t i = 0; i < edges.size(); ++i) {
    Object* const from = edges.object(i, 0);
    Number to = storage_to[static_cast<std::size_t>(i)];
    walk.ours(from);
    if (to == none) {
      Object* const target = edges.object(i, 1);
      if ((type_flags(type_of(target)) & flag_has_gc) == 0) continue;
      walk.ours(target);
      to = walk.number(target);
    }
    Object* const label = edges.object(i, 3);
    const bool is_text = (type_flags(type_of(label)) & flag_unicode) != 0;
    walk.add_edge({walk.number(from), to, static_cast<trace::GraphEdgeKind>(edges.number(i, 2)), edges.number(i, 4),
                   is_text ? 0 : edges.number(i, 3), is_text ? label : nullptr});
  }
  for (std::ptrdiff_t i = 0; i < frames.size(); ++i)
    if ((frames.number(i, 3) & trace::graph_root) != 0) walk.add_root(frames.object(i, 0));
  for (std::ptrdiff_t i = 0; i < roots.size(); ++i) walk.add_module(roots.row(i));
}

}  // namespace

namespace {
/// An argument that is a class, or None.
Object* class_or_none(Object* o) noexcept { return (type_flags(type_of(o)) & flag_type) != 0 ? o : nullptr; }
}  // namespace

Object* scan(Object*, Object* all) noexcept {
  const SavedErrno keep;
  const PythonApi& python = *python_api();
  const HeapApi* const api = heap_api();
  if (api == nullptr) return python.build_bool(0);
  const Arguments arguments{*api, all};
  Walk walk(*api, Limits());
  walk.tensor_type = arguments[1];
  walk.node_type = class_or_none(arguments[2]);
  walk.function_type = class_or_none(arguments[3]);
  constexpr std::ptrdiff_t sorts = 4;
  Object* const result = python.new_tuple(sorts);
  Object* lists[sorts];
  for (std::ptrdiff_t i = 0; result != nullptr && i < sorts; ++i)
    python.tuple_set(result, i, lists[i] = api->list_new(0));
  if (result == nullptr || python.error_occurred() != nullptr) return result;
  Object* const objects = arguments[0];
  for (std::ptrdiff_t i = 0; i < var_size(objects); ++i) {
    Object* const o = api->list_get(objects, i);
    const std::uint32_t bits = walk.type_info(type_of(o)).bits;
    Object* const list = (bits & TypeInfo::tensor) != 0       ? lists[0]
                         : (bits & TypeInfo::suspended) != 0  ? lists[1]
                         : (bits & TypeInfo::cuda_graph) != 0 ? lists[2]
                         : (bits & TypeInfo::graph_node) != 0 ? lists[3]
                                                              : nullptr;
    if (list != nullptr && api->list_append(list, o) != 0) break;
  }
  if (python.error_occurred() == nullptr) return result;
  python.decref(result);
  return nullptr;
}

Object* capture(Object*, Object* all) noexcept {
  const SavedErrno keep;
  const PythonApi& python = *python_api();
  const HeapApi* const api = heap_api();
  trace::Writer* const writer = trace::active();
  if (api == nullptr || writer == nullptr) return python.build_bool(0);
  const Arguments arguments{*api, all};
  const Arguments settings{*api, arguments[10]};
  if (settings.all == nullptr) return nullptr;
  const std::uint64_t start = thread_cpu_ns();
  trace::HeapGraphRecord record{};
  record.moment = static_cast<std::uint8_t>(api->unsigned_mask(arguments[0]));
  record.number = static_cast<std::uint32_t>(api->unsigned_mask(arguments[1]));
  record.time = ticks();
  record.step = __atomic_load_n(&writer->header().steps, __ATOMIC_RELAXED);
  Limits limits;
  limits.nanoseconds = api->unsigned_mask(settings[0]);
  limits.nodes = api->unsigned_mask(settings[1]);
  Walk walk(*api, limits);
  walk.tensor_type = settings[5];
  walk.nn_module_type = settings[6];
  walk.optimizer_type = settings[7];
  walk.array_type = class_or_none(settings[10]);
  walk.flags = static_cast<std::uint32_t>(api->unsigned_mask(settings[8]));
  give(walk, *api, arguments);
  Object* const objects = arguments[2];
  walk.run((type_flags(type_of(objects)) & flag_list) != 0 ? objects : nullptr);
  walk.prune();
  GraphWriter graph(walk, {settings[4], text_of(*api, settings[2]), text_of(*api, settings[3])});
  graph.code();
  record.walk_ns = thread_cpu_ns() - start;
  const bool stored = graph.store(record, text_of(*api, settings[9]));
  return python.error_occurred() != nullptr ? nullptr : python.build_bool(stored);
}

}  // namespace vramtrack::agent::heap
