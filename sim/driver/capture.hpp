// Streams, events and what stream capture makes of them. Streams do not overlap: every operation is done when the
// call returns, except host functions, which run in order on a thread of their own, and work of libraries
// (stream_work.hpp), for which later operations wait.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "sim/driver/state.hpp"
#include "sim/driver/stream_work.hpp"

namespace vramtrack::sim {

struct Node;
struct Graph;

struct Capture {
  unsigned long long id = 0;
  Graph* graph = nullptr;
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  unsigned long thread = 0;  // that began it
  struct Stream* origin = nullptr;
  bool owns_graph = true;
  bool invalidated = false;
};

struct Stream {
  Context* context = nullptr;
  unsigned flags = 0;
  int priority = 0;
  unsigned long long id = 0;
  std::shared_ptr<Capture> capture;  // while it is capturing
  std::vector<Node*> frontier;       // in a capture: the nodes that the next one depends on
  WorkList pending;
};

struct Event {
  Context* context = nullptr;
  unsigned flags = 0;
  bool recorded = false;
  std::uint64_t milliseconds = 0;
  std::shared_ptr<Capture> capture;  // when recorded in a capturing stream
  std::vector<Node*> frontier;
  WorkList pending;  // when it was recorded
};

/// The stream that a handle names, default streams included. Needs the current context.
CUresult resolve_stream(CUstream handle, Context& context, Stream*& out);

/// What an allocation that may not happen during capture returns: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED when a
/// capture forbids it on this thread (and that capture is invalidated), else CUDA_SUCCESS.
CUresult forbid_in_capture();

/// Adds a node to the stream's capture. False when the stream is not capturing: then do the work now.
bool capture_work(Stream& stream, CUgraphNodeType type, std::function<void()> work);

/// Waits until the host functions given to streams have run. Call without the driver's lock.
void drain_host_functions();

}  // namespace vramtrack::sim
