// The retained-memory graph's record: what is written is read again; what is cut off or damaged makes it smaller, never
// wrong in its indices.
#include <catch2/catch.hpp>

#include <cstring>
#include <random>
#include <vector>

#include "contract/heap_graph_reader.hpp"

namespace vramtrack::trace {
namespace {

using Bytes = std::vector<std::byte>;

void append(Bytes& out, const void* data, std::size_t bytes) {
  const std::size_t at = out.size();
  out.resize(at + bytes);
  if (bytes) std::memcpy(out.data() + at, data, bytes);
}

void append_section(Bytes& out, std::uint32_t type, const std::vector<std::uint8_t>& content) {
  const GraphSectionHeader head{type, 0, content.size()};
  append(out, &head, sizeof head);
  append(out, content.data(), content.size());
}

void add_section(Bytes& out, GraphSection type, const std::vector<std::uint8_t>& content) {
  append_section(out, static_cast<std::uint32_t>(type), content);
}

template <class Write>
void add(std::vector<std::uint8_t>& out, std::size_t room, Write&& write) {
  const std::size_t at = out.size();
  out.resize(at + room);
  out.resize(static_cast<std::size_t>(write(out.data() + at) - out.data()));
}

struct Sample {
  std::vector<std::string> strings{"", "demo.Net", "weight", "[64, 128]", "float32", "/home/u/train.py"};
  std::vector<GraphNode> nodes;
  std::vector<GraphEdge> edges;

  Sample() {
    GraphNode module;
    module.kind = GraphNodeKind::module;
    module.flags = graph_root | graph_main | graph_user_code;
    module.file = 5;
    GraphNode tensor;
    tensor.kind = GraphNodeKind::tensor;
    tensor.type_name = 1;
    tensor.shape = 3;
    tensor.dtype = 4;
    tensor.address = 0xffff'ffff'ffff'fff0;
    tensor.references = 2;
    GraphNode storage;
    storage.kind = GraphNodeKind::storage;
    storage.data_address = 0x7f00'0000'0200;
    storage.bytes = 32768;
    storage.device = 1;
    nodes = {module, GraphNode(), tensor, storage};
    edges = {{0, 2, GraphEdgeKind::global, 2, 0},
             {0, 1, GraphEdgeKind::key_number, heap_graph::zigzag(-7), 0},
             {1, 2, GraphEdgeKind::index, 300, 0},
             {2, 3, GraphEdgeKind::storage, 0, 0},
             {3, 0, GraphEdgeKind::local, 2, graph_never_read_again}};
  }

  Bytes encoded(bool with_unknown = false) const {
    Bytes out;
    HeapGraphRecord record{};
    record.bytes = sizeof record;
    record.number = 3;
    record.moment = static_cast<std::uint8_t>(GraphMoment::out_of_memory);
    record.objects = 12345;
    append(out, &record, sizeof record);
    std::vector<std::uint8_t> content;
    for (std::size_t i = 1; i < strings.size(); ++i) {
      add(content, heap_graph::max_varint, [&](auto* at) { return heap_graph::put_varint(at, strings[i].size()); });
      content.insert(content.end(), strings[i].begin(), strings[i].end());
    }
    add_section(out, GraphSection::strings, content);
    if (with_unknown) append_section(out, 77, {1, 2, 3});
    content.clear();
    for (const GraphNode& node : nodes)
      add(content, heap_graph::max_node_bytes, [&](auto* at) { return heap_graph::put(at, node); });
    if (with_unknown) {  // a node with a field of a later version
      add(content, heap_graph::max_node_bytes, [](auto* at) {
        at = heap_graph::put_varint(at, 1u | 1ull << 50);
        at = heap_graph::put_varint(at, static_cast<std::uint64_t>(GraphNodeKind::cell));
        return heap_graph::put_varint(at, 99);
      });
    }
    add_section(out, GraphSection::nodes, content);
    content.clear();
    std::uint32_t from = 0;
    for (const GraphEdge& edge : edges) {
      add(content, heap_graph::max_edge_bytes, [&](auto* at) { return heap_graph::put(at, edge, from); });
      from = edge.from;
    }
    add_section(out, GraphSection::edges, content);
    add_section(out, GraphSection::note, {'h', 'i'});
    return out;
  }
};

bool same(const GraphNode& a, const GraphNode& b) {
  bool equal = true;
#define GRAPH_NODE_FIELD(bit, name, type, what) equal = equal && a.name == b.name;
#include "contract/heap_graph.def"
  return equal;
}

bool same(const GraphEdge& a, const GraphEdge& b) {
  bool equal = true;
#define GRAPH_EDGE_FIELD(bit, name, type, what) equal = equal && a.name == b.name;
#include "contract/heap_graph.def"
  return equal;
}

// Whatever was read: nothing in it leads outside.
bool sound(const HeapGraph& graph) {
  std::uint32_t from = 0;
  for (const GraphEdge& edge : graph.edges) {
    if (edge.from < from || edge.from >= graph.nodes.size() || edge.to >= graph.nodes.size()) return false;
    from = edge.from;
    graph.label(edge);
  }
  for (std::uint32_t i = 0; i < graph.nodes.size(); ++i)
    for (const GraphEdge& edge : graph.edges_of(i))
      if (edge.from != i) return false;
  return true;
}

TEST_CASE("a graph is read as it was written") {
  const Sample sample;
  HeapGraph graph;
  REQUIRE(read_heap_graph(sample.encoded(), graph));
  CHECK_FALSE(graph.damaged);
  CHECK(graph.moment() == GraphMoment::out_of_memory);
  CHECK(graph.record.number == 3);
  CHECK(graph.record.objects == 12345);
  CHECK(graph.strings == sample.strings);
  CHECK(graph.notes == std::vector<std::string>{"hi"});
  REQUIRE(graph.nodes.size() == sample.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) CHECK(same(graph.nodes[i], sample.nodes[i]));
  REQUIRE(graph.edges.size() == sample.edges.size());
  for (std::size_t i = 0; i < graph.edges.size(); ++i) CHECK(same(graph.edges[i], sample.edges[i]));
  CHECK(graph.edges_of(0).size() == 2);
  CHECK(graph.edges_of(3).size() == 1);
  CHECK(graph.label(graph.edges[0]) == ".weight");
  CHECK(graph.label(graph.edges[1]) == "[-7]");
  CHECK(graph.label(graph.edges[2]) == "[300]");
  CHECK(graph.label(graph.edges[4]) == " local weight");
}

TEST_CASE("fields and sections of a later version are skipped") {
  HeapGraph graph;
  REQUIRE(read_heap_graph(Sample().encoded(true), graph));
  CHECK_FALSE(graph.damaged);
  REQUIRE(graph.nodes.size() == 5);
  CHECK(graph.nodes[4].kind == GraphNodeKind::cell);
  CHECK(graph.edges.size() == Sample().edges.size());
}

TEST_CASE("a graph that is cut off at any byte is smaller, and sound") {
  const Bytes whole = Sample().encoded();
  std::size_t nodes = 0;
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    HeapGraph graph;
    const bool any = read_heap_graph(part, graph);
    REQUIRE(any == (length >= sizeof(HeapGraphRecord)));
    REQUIRE(sound(graph));
    REQUIRE(graph.nodes.size() >= nodes);
    nodes = graph.nodes.size();
  }
  CHECK(nodes == Sample().nodes.size());
}

TEST_CASE("a graph with flipped bytes is sound") {
  const Bytes whole = Sample().encoded();
  std::mt19937 random(1);
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (unsigned bit = 0; bit < 8; ++bit) {
      Bytes flipped = whole;
      flipped[at] ^= static_cast<std::byte>(1u << bit);
      HeapGraph graph;
      read_heap_graph(flipped, graph);
      REQUIRE(sound(graph));
    }
  for (int round = 0; round < 3000; ++round) {
    Bytes damaged = whole;
    for (int i = 0; i < 8; ++i) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    HeapGraph graph;
    read_heap_graph(damaged, graph);
    REQUIRE(sound(graph));
  }
}

}  // namespace
}  // namespace vramtrack::trace
