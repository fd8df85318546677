// Turns a pruned walk into the trace's record: gives the references that are left their names (keys, attributes,
// indices, variables) and codes nodes and edges. GIL held; runs no Python code (only functions of exact built-in types
// are called).
#pragma once

#include <string_view>

#include "interpose/python/heap/text_table.hpp"
#include "interpose/python/heap/walk.hpp"

namespace vramtrack::agent::heap {

struct Surroundings {
  Object* modules;             // sys.modules
  std::string_view main_file;  // of the script, "" where there is none
  std::string_view library;    // folder of the standard library, with a slash at its end
};

class GraphWriter {
 public:
  GraphWriter(Walk& walk, const Surroundings& around) noexcept : walk_(walk), api_(walk.api()), around_(around) {}

  /// After Walk::prune().
  void code() noexcept;
  TextTable& texts() noexcept { return texts_; }
  /// Appends the record to the active trace. False when it could not be stored.
  bool store(trace::HeapGraphRecord record, std::string_view note) noexcept;

 private:
  // names.cpp
  void fold_spaces() noexcept;
  void fold(Object* space, Number owner) noexcept;
  Object* own_dict(Object* o) noexcept;
  void references_of(Number n) noexcept;
  void dict_items(Object* dict, trace::GraphEdgeKind kind) noexcept;
  void attributes(Number n, Object* o) noexcept;
  void sequence_items(Object* o, std::uint64_t what) noexcept;
  void deque_items(Object* o) noexcept;
  void array_items(Object* o) noexcept;
  void function_parts(Object* o) noexcept;
  void edge(Object* to, trace::GraphEdgeKind kind, std::uint64_t label, std::uint64_t flags = 0) noexcept;
  void edge_to(Number to, trace::GraphEdgeKind kind, std::uint64_t label, std::uint64_t flags) noexcept;
  trace::GraphString text(Object* string) noexcept { return texts_.add(text_of(api_, string)); }
  // nodes.cpp
  void node(Number n) noexcept;
  void describe(Number n, Object* o, trace::GraphNode& node) noexcept;
  void name_type(Object* type, TypeInfo& info) noexcept;
  trace::GraphString module_file(std::string_view module, bool& user_code) noexcept;
  bool is_user_file(std::string_view file) const noexcept;
  trace::GraphString attribute_text(Object* o, const char* name) noexcept;
  std::uint64_t attribute_number(Object* o, const char* name) noexcept;
  void describe_code(Object* code, trace::GraphNode& node) noexcept;

  struct Open {
    Number number;
    Number owner;  // the node that shows it
  };

  Walk& walk_;
  const HeapApi& api_;
  const Surroundings around_;
  TextTable texts_;
  PageVector<std::uint32_t> places_;  // number -> 1 + index of its node, or of its owner's
  PageVector<Number> owners_;         // of folded ones, by number; 1 + owner
  PageVector<std::uint32_t> marks_;   // number -> the last node that has an edge to it
  PageVector<std::uint16_t> roles_;   // number -> graph_parameter, graph_buffer, graph_gradient
  PageVector<Number> order_;          // of the nodes
  PageVector<std::uint8_t> nodes_, edges_;
  std::uint64_t omitted_edges_ = 0, omitted_bytes_ = 0;
  std::uint32_t node_count_ = 0, edge_count_ = 0;
  // of the node whose references are being written
  std::uint32_t from_ = 0, last_from_ = 0;
  bool attributes_are_context_ = false;
};

}  // namespace vramtrack::agent::heap
