#include "contract/heap_graph_reader.hpp"

#include <algorithm>
#include <cstring>

namespace vramtrack::trace {

namespace {

// Reads varints within a section; after the first that is cut off or too long, `good` is false and all are 0.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : bytes_(bytes) {}
  bool good() const { return good_; }
  bool more() const { return good_ && !bytes_.empty(); }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; good_ && shift < 64; shift += 7) {
      if (bytes_.empty()) break;
      const auto byte = std::to_integer<std::uint64_t>(bytes_.front());
      bytes_ = bytes_.subspan(1);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    good_ = false;
    return 0;
  }

  std::string_view text(std::uint64_t length) {
    if (length > bytes_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
    return text;
  }

 private:
  std::span<const std::byte> bytes_;
  bool good_ = true;
};

template <class T>
bool set(T& field, std::uint64_t value) {
  field = static_cast<T>(value);
  return static_cast<std::uint64_t>(field) == value;
}

// One node or edge: the fields of its mask, those of rows unknown here left out.
template <class Set>
bool read_fields(Input& in, Set&& set_field) {
  const std::uint64_t mask = in.varint();
  bool good = in.good();
  for (unsigned bit = 0; bit < 64 && good; ++bit)
    if ((mask >> bit & 1) != 0) {
      const std::uint64_t value = in.varint();
      good = in.good() && set_field(bit, value);
    }
  return good;
}

bool read_node(Input& in, GraphNode& node) {
  return read_fields(in, [&node](unsigned field, std::uint64_t value) {
    switch (field) {
#define GRAPH_NODE_FIELD(bit, name, type, what) \
  case bit:                                     \
    return set(node.name, value);
#include "contract/heap_graph.def"
      default:
        return true;
    }
  });
}

bool read_edge(Input& in, GraphEdge& edge) {
  return read_fields(in, [&edge](unsigned field, std::uint64_t value) {
    switch (field) {
#define GRAPH_EDGE_FIELD(bit, name, type, what) \
  case bit:                                     \
    return set(edge.name, value);
#include "contract/heap_graph.def"
      default:
        return true;
    }
  });
}

void read_edges(Input in, HeapGraph& graph) {
  std::uint64_t from = 0;
  while (in.more()) {
    GraphEdge edge;
    if (!read_edge(in, edge)) break;
    from += edge.from;
    if (from >= graph.nodes.size() || edge.to >= graph.nodes.size()) {
      graph.damaged = true;
      continue;
    }
    edge.from = static_cast<std::uint32_t>(from);
    graph.edges.push_back(edge);
  }
  graph.damaged |= !in.good();
}

void read_section(GraphSection type, std::span<const std::byte> bytes, HeapGraph& graph) {
  Input in(bytes);
  switch (type) {
    case GraphSection::strings:
      while (in.more()) {
        const std::string_view text = in.text(in.varint());
        if (in.good()) graph.strings.emplace_back(text);
      }
      break;
    case GraphSection::nodes:
      while (in.more()) {
        GraphNode node;
        if (!read_node(in, node)) {
          graph.damaged = true;
          break;
        }
        graph.nodes.push_back(node);
      }
      break;
    case GraphSection::edges:
      read_edges(in, graph);
      break;
    case GraphSection::note:
      graph.notes.emplace_back(in.text(bytes.size()));
      break;
    default:
      break;
  }
  graph.damaged |= !in.good();
}

}  // namespace

bool read_heap_graph(std::span<const std::byte> payload, HeapGraph& graph) {
  graph = HeapGraph();
  graph.strings.emplace_back();
  std::uint32_t fixed = 0;
  if (payload.size() < sizeof fixed) return false;
  std::memcpy(&fixed, payload.data(), sizeof fixed);
  if (fixed < sizeof(HeapGraphRecord) || fixed > payload.size()) return false;
  std::memcpy(&graph.record, payload.data(), sizeof graph.record);
  for (std::size_t at = fixed; at < payload.size();) {
    GraphSectionHeader head;
    if (payload.size() - at < sizeof head) {
      graph.damaged = true;
      break;
    }
    std::memcpy(&head, payload.data() + at, sizeof head);
    at += sizeof head;
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(head.bytes, payload.size() - at));
    graph.damaged |= bytes != head.bytes;
    read_section(static_cast<GraphSection>(head.type), payload.subspan(at, bytes), graph);
    at += bytes;
  }
  return true;
}

const std::string& HeapGraph::string(std::uint64_t id) const {
  static const std::string none;
  return id < strings.size() ? strings[static_cast<std::size_t>(id)] : none;
}

std::span<const GraphEdge> HeapGraph::edges_of(std::uint32_t node) const {
  const auto first =
      std::partition_point(edges.begin(), edges.end(), [node](const GraphEdge& e) { return e.from < node; });
  const auto last = std::partition_point(first, edges.end(), [node](const GraphEdge& e) { return e.from <= node; });
  return {first, last};
}

std::string HeapGraph::label(const GraphEdge& edge) const {
  const std::string& text = string(edge.label);
  switch (edge.kind) {
    case GraphEdgeKind::attribute:
    case GraphEdgeKind::global:
      return "." + text;
    case GraphEdgeKind::key:
      return "['" + text + "']";
    case GraphEdgeKind::key_number:
      return "[" + std::to_string(heap_graph::unzigzag(edge.label)) + "]";
    case GraphEdgeKind::key_other:
      return "[<" + text + ">]";
    case GraphEdgeKind::index:
      return "[" + std::to_string(edge.label) + "]";
    case GraphEdgeKind::next_function:
      return ".next_functions[" + std::to_string(edge.label) + "]";
    case GraphEdgeKind::local:
      return " local " + text;
    case GraphEdgeKind::closure:
      return " closure " + text;
    case GraphEdgeKind::default_value:
      return " default " + text;
    case GraphEdgeKind::saved:
      return " saved " + text;
    case GraphEdgeKind::context:
      return " ctx." + text;
    case GraphEdgeKind::grad_fn:
    case GraphEdgeKind::grad:
    case GraphEdgeKind::variable:
      return "." + std::string(name_of(edge.kind));
    default:
      return " " + std::string(name_of(edge.kind)) + (text.empty() ? "" : " " + text);
  }
}

std::string_view name_of(GraphMoment moment) {
  switch (moment) {
#define GRAPH_MOMENT(value, name, what) \
  case GraphMoment::name:               \
    return #name;
#include "contract/heap_graph.def"
  }
  return "?";
}

std::string_view name_of(GraphNodeKind kind) {
  switch (kind) {
#define GRAPH_NODE_KIND(value, name, what) \
  case GraphNodeKind::name:                \
    return #name;
#include "contract/heap_graph.def"
  }
  return "?";
}

std::string_view name_of(GraphEdgeKind kind) {
  switch (kind) {
#define GRAPH_EDGE_KIND(value, name, what) \
  case GraphEdgeKind::name:                \
    return #name;
#include "contract/heap_graph.def"
  }
  return "?";
}

}  // namespace vramtrack::trace
