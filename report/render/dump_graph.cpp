// The retained-memory graphs of a trace as the dump prints them: what was recorded, nothing worked out.
#include <sstream>

#include "report/render/dump.hpp"

namespace vramtrack::trace {

namespace {

// A field prints under its name unless it is 0, as in the record.
void field(std::ostream& out, const HeapGraph& graph, std::string_view name, GraphString id, bool is_text) {
  if (id == 0) return;
  out << ' ' << name << '=';
  if (is_text)
    out << escaped(graph.string(id));
  else
    out << id;
}

void field(std::ostream& out, const HeapGraph&, std::string_view name, std::uint64_t value, bool) {
  if (value == 0) return;
  const bool hex = name == "address" || name == "data_address" || name == "flags";
  out << ' ' << name << '=' << (hex ? "0x" : "") << (hex ? std::hex : std::dec) << value << std::dec;
}

void field(std::ostream& out, const HeapGraph&, std::string_view, GraphNodeKind kind, bool) {
  out << " kind=" << name_of(kind);
}

void node_fields(std::ostream& out, const HeapGraph& graph, const GraphNode& node) {
#define GRAPH_NODE_FIELD(bit, name, type, what) \
  field(out, graph, #name, node.name, std::string_view(#type) == "GraphString");
#include "contract/heap_graph.def"
}

}  // namespace

void dump_graphs(const TraceFile& trace, std::ostream& out) {
  std::size_t number = 0;
  for (const HeapGraph& graph : trace.graphs) {
    const HeapGraphRecord& r = graph.record;
    std::ostringstream time;
    time.precision(6);
    time << std::fixed << trace.seconds(r.time);
    out << "graph " << ++number << " moment=" << name_of(graph.moment()) << " number=" << r.number
        << " time=" << time.str() << " step=" << r.step << " flags=" << r.flags << " walk_ns=" << r.walk_ns
        << " objects=" << r.objects << " references=" << r.references << " storages=" << r.storages
        << " storage_bytes=" << r.storage_bytes << " omitted_nodes=" << r.omitted_nodes
        << " omitted_edges=" << r.omitted_edges << " omitted_bytes=" << r.omitted_bytes
        << " nodes=" << graph.nodes.size() << " edges=" << graph.edges.size() << " damaged=" << graph.damaged << '\n';
    for (const std::string& note : graph.notes) out << "graph_note " << number << ' ' << escaped(note) << '\n';
    for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
      out << "graph_node " << number << ' ' << i;
      node_fields(out, graph, graph.nodes[i]);
      out << '\n';
    }
    for (const GraphEdge& edge : graph.edges) {
      out << "graph_edge " << number << ' ' << edge.from << ' ' << edge.to << " kind=" << name_of(edge.kind)
          << " label=" << escaped(graph.label(edge));
      if (edge.flags != 0) out << " flags=0x" << std::hex << edge.flags << std::dec;
      out << '\n';
    }
  }
}

}  // namespace vramtrack::trace
