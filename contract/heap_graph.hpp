// The retained-memory graph: who holds whom, from the roots of the Python process to device memory, at one moment. The
// traced process encodes it into one log record (RecordType::heap_graph), the reader decodes it (TraceFile::graphs).
// This half knows neither side: plain values, no libstdc++. The rows are in heap_graph.def.
//
//   record   = HeapGraphRecord, section*
//   section  = GraphSectionHeader, `bytes` bytes; a section of an unknown type is skipped by its length
//   strings  = (varint length, bytes)*            ids count from 1; 0 is ""
//   nodes    = node*      edges = edge*            in order of their index; edges in order of `from`
//   node     = varint mask, a varint for each bit of it from the lowest: the field of that row; absent = 0
//   edge     = the same; `from` is the difference to the last edge's
#pragma once

#include <cstddef>
#include <cstdint>

namespace vramtrack::trace {

enum class GraphMoment : std::uint8_t {
#define GRAPH_MOMENT(value, name, what) name = value,
#include "contract/heap_graph.def"
};
enum class GraphNodeKind : std::uint8_t {
#define GRAPH_NODE_KIND(value, name, what) name = value,
#include "contract/heap_graph.def"
};
enum class GraphEdgeKind : std::uint8_t {
#define GRAPH_EDGE_KIND(value, name, what) name = value,
#include "contract/heap_graph.def"
};
using GraphString = std::uint32_t;

enum GraphNodeFlags : std::uint64_t {
  graph_root = 1,            // the interpreter keeps it alive: a frame of a thread, an entry of sys.modules, ...
  graph_user_code = 1 << 1,  // frame, function, class, module of the user's own files; an object of such a class
  graph_main = 1 << 2,       // the module __main__
  graph_parameter = 1 << 3,  // a tensor that a torch.nn.Module has as a parameter
  graph_buffer = 1 << 4,     // or as a buffer
  graph_requires_grad = 1 << 5,
  graph_leaf = 1 << 6,           // of autograd: not made by an operation that is recorded
  graph_view = 1 << 7,           // a tensor that shows a part or another shape of another one's storage
  graph_garbage = 1 << 8,        // reached from no root: only a cycle, or something unseen, keeps it
  graph_unseen_holder = 1 << 9,  // more references than the walk came along, and none of C++ that explains them
  graph_suspended = 1 << 10,     // the frame of a generator or coroutine that waits
  graph_module_frame = 1 << 11,  // a frame whose variables are its module's
  graph_cut = 1 << 12,           // its references were not all followed: see HeapGraphRecord::flags
  graph_gradient = 1 << 13,      // a tensor that is the .grad of another one
  graph_nn_module = 1 << 14,     // an object that is a torch.nn.Module
  graph_optimizer = 1 << 15,     // or a torch.optim.Optimizer
  graph_exception = 1 << 16,     // or an exception or traceback
  graph_frozen = 1 << 17,        // not known to the garbage collector (gc.freeze)
  graph_segment = 1 << 18,       // a storage that is a segment of a caching allocator; the blocks in it are apart
};

enum GraphEdgeFlags : std::uint64_t {
  graph_never_read_again = 1,  // a local variable that the function's code does not read after this point
  graph_borrowed = 2,          // does not keep `to` alive (a frame's argument that its caller holds)
  graph_to_segment = 4,        // `to` is a segment of a caching allocator, not a block of it
};

enum GraphRecordFlags : std::uint32_t {
  graph_out_of_time = 1,    // the walk was stopped by its deadline
  graph_out_of_memory = 2,  // by its bound of memory
  graph_too_large = 4,      // the pruned graph was larger than its bounds: the farthest nodes are left out
  graph_threads_ran = 8,    // other threads could run meanwhile (no GIL)
  graph_no_tensors = 16,    // PyTorch is not there, or its tensors could not be read
};

struct HeapGraphRecord {
  std::uint32_t bytes;   // sizeof(HeapGraphRecord) of the writer
  std::uint32_t number;  // of the out-of-memory event, else 0
  std::uint8_t moment;   // GraphMoment
  std::uint8_t reserved0[3];
  std::uint32_t flags;  // GraphRecordFlags
  std::uint64_t time;   // ticks
  std::uint32_t step;
  std::uint32_t reserved1;
  std::uint64_t walk_ns;        // processor time that it took
  std::uint64_t objects;        // that the walk met
  std::uint64_t references;     // that it followed
  std::uint64_t storages;       // on devices, that it met
  std::uint64_t storage_bytes;  // theirs
  std::uint64_t omitted_nodes;  // left out although they lead to device memory
  std::uint64_t omitted_edges;
  std::uint64_t omitted_bytes;  // device memory that was met, but no node of which is here
};

enum class GraphSection : std::uint32_t { strings = 1, nodes = 2, edges = 3, note = 4 };  // note: one line of text

struct GraphSectionHeader {
  std::uint32_t type;  // GraphSection
  std::uint32_t reserved;
  std::uint64_t bytes;
};

struct GraphNode {
#define GRAPH_NODE_FIELD(bit, name, type, what) type name{};
#include "contract/heap_graph.def"
};

struct GraphEdge {
#define GRAPH_EDGE_FIELD(bit, name, type, what) type name{};
#include "contract/heap_graph.def"
};

namespace heap_graph {

inline constexpr std::size_t max_varint = 10;
inline constexpr std::size_t max_node_bytes = 26 * max_varint;  // room to have where put() writes
inline constexpr std::size_t max_edge_bytes = 8 * max_varint;

constexpr std::uint64_t zigzag(std::int64_t value) noexcept {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
constexpr std::int64_t unzigzag(std::uint64_t code) noexcept {
  return static_cast<std::int64_t>(code >> 1) ^ -static_cast<std::int64_t>(code & 1);
}

inline std::uint8_t* put_varint(std::uint8_t* out, std::uint64_t value) noexcept {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<std::uint8_t>(value | 0x80);
  *out++ = static_cast<std::uint8_t>(value);
  return out;
}

/// Writes a node; returns the end.
inline std::uint8_t* put(std::uint8_t* out, const GraphNode& node) noexcept {
  std::uint64_t mask = 0;
#define GRAPH_NODE_FIELD(bit, name, type, what) \
  if (static_cast<std::uint64_t>(node.name) != 0) mask |= 1ull << bit;
#include "contract/heap_graph.def"
  out = put_varint(out, mask);
#define GRAPH_NODE_FIELD(bit, name, type, what) \
  if (static_cast<std::uint64_t>(node.name) != 0) out = put_varint(out, static_cast<std::uint64_t>(node.name));
#include "contract/heap_graph.def"
  return out;
}

/// Writes an edge that follows one from `previous_from` (at most edge.from); returns the end.
inline std::uint8_t* put(std::uint8_t* out, GraphEdge edge, std::uint32_t previous_from) noexcept {
  edge.from -= previous_from;
  std::uint64_t mask = 0;
#define GRAPH_EDGE_FIELD(bit, name, type, what) \
  if (static_cast<std::uint64_t>(edge.name) != 0) mask |= 1ull << bit;
#include "contract/heap_graph.def"
  out = put_varint(out, mask);
#define GRAPH_EDGE_FIELD(bit, name, type, what) \
  if (static_cast<std::uint64_t>(edge.name) != 0) out = put_varint(out, static_cast<std::uint64_t>(edge.name));
#include "contract/heap_graph.def"
  return out;
}

}  // namespace heap_graph

}  // namespace vramtrack::trace
