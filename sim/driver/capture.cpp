// Stream capture, and the thread on which host functions run.
#include "sim/driver/capture.hpp"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <thread>

#include "sim/driver/graph.hpp"

using namespace vramtrack::sim;

namespace {

thread_local CUstreamCaptureMode t_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

struct Captures {
  std::vector<std::weak_ptr<Capture>> running;
  unsigned long long next_id = 1;
};
Captures& captures() {
  static Captures& all = *new Captures;
  return all;
}

/// Host functions of all streams, in order. Leaked: programs may still use it while they exit.
struct HostFunctions {
  std::mutex lock;
  std::condition_variable work, idle;
  std::deque<std::function<void()>> queue;
  bool started = false, busy = false;
};
HostFunctions& host_functions() {
  static HostFunctions& all = *new HostFunctions;
  return all;
}

thread_local bool t_in_host_function = false;

void run_host_functions() {
  t_in_host_function = true;
  HostFunctions& all = host_functions();
  std::unique_lock lock(all.lock);
  while (true) {
    all.work.wait(lock, [&] { return !all.queue.empty(); });
    auto function = std::move(all.queue.front());
    all.queue.pop_front();
    all.busy = true;
    lock.unlock();
    function();
    lock.lock();
    all.busy = false;
    all.idle.notify_all();
  }
}

void enqueue_host_function(std::function<void()> function) {
  HostFunctions& all = host_functions();
  const std::lock_guard lock(all.lock);
  if (!all.started) {
    all.started = true;
    std::thread(run_host_functions).detach();
  }
  all.queue.push_back(std::move(function));
  all.work.notify_one();
}

unsigned long this_thread() { return static_cast<unsigned long>(pthread_self()); }

/// A stream's call: entered, resolved.
struct Call {
  explicit Call(CUstream handle) : entry(Needs::context) {
    status = entry ? resolve_stream(handle, entry.context(), stream) : entry.status();
  }
  Entry entry;
  Stream* stream = nullptr;
  CUresult status;
};

CUresult begin(CUstream handle, CUstreamCaptureMode mode, Graph* graph) {
  Call call(handle);
  if (call.status != CUDA_SUCCESS) return call.status;
  const auto value = reinterpret_cast<std::uintptr_t>(handle);
  if (value < 2) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;  // the legacy stream cannot capture
  if (call.stream->capture != nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  auto capture = std::make_shared<Capture>();
  capture->id = captures().next_id++;
  capture->owns_graph = graph == nullptr;
  capture->graph = graph != nullptr ? graph : new_graph();
  capture->mode = mode;
  capture->thread = this_thread();
  capture->origin = call.stream;
  call.stream->capture = capture;
  call.stream->frontier.clear();
  auto& running = captures().running;
  std::erase_if(running, [](const auto& one) { return one.expired(); });
  running.push_back(capture);
  return CUDA_SUCCESS;
}

CUresult info(CUstream handle, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph,
              const CUgraphNode** dependencies, size_t* count) {
  Call call(handle);
  if (call.status != CUDA_SUCCESS) return call.status;
  if (status == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const Capture* capture = call.stream->capture.get();
  *status = capture == nullptr     ? CU_STREAM_CAPTURE_STATUS_NONE
            : capture->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                   : CU_STREAM_CAPTURE_STATUS_ACTIVE;
  if (capture == nullptr) return CUDA_SUCCESS;
  if (id != nullptr) *id = capture->id;
  if (graph != nullptr) *graph = reinterpret_cast<CUgraph>(capture->graph);
  if (dependencies != nullptr) *dependencies = reinterpret_cast<const CUgraphNode*>(call.stream->frontier.data());
  if (count != nullptr) *count = call.stream->frontier.size();
  return CUDA_SUCCESS;
}

CUresult update(CUstream handle, CUgraphNode* dependencies, size_t count, unsigned flags) {
  Call call(handle);
  if (call.status != CUDA_SUCCESS) return call.status;
  if (call.stream->capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  auto& frontier = call.stream->frontier;
  if (flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES) frontier.clear();
  for (size_t i = 0; i < count; ++i) frontier.push_back(reinterpret_cast<Node*>(dependencies[i]));
  return CUDA_SUCCESS;
}

CUresult launch_host(CUstream handle, std::function<void()> function) {
  Call call(handle);
  if (call.status != CUDA_SUCCESS) return call.status;
  if (capture_work(*call.stream, CU_GRAPH_NODE_TYPE_HOST, function)) return CUDA_SUCCESS;
  enqueue_host_function([before = pending_on(*call.stream), function = std::move(function)] {
    await(before);
    function();
  });
  return CUDA_SUCCESS;
}

}  // namespace

namespace vramtrack::sim {

CUresult forbid_in_capture() {
  if (t_mode == CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_SUCCESS;
  for (const auto& one : captures().running) {
    const auto capture = one.lock();
    if (capture == nullptr || capture->graph == nullptr || capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED) continue;
    const bool own = capture->thread == this_thread();
    const bool foreign = t_mode == CU_STREAM_CAPTURE_MODE_GLOBAL && capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    if (!own && !foreign) continue;
    capture->invalidated = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return CUDA_SUCCESS;
}

bool capture_work(Stream& stream, CUgraphNodeType type, std::function<void()> work) {
  if (stream.capture == nullptr) return false;
  Node& node = add_node(*stream.capture->graph, type, stream.frontier);
  node.work = std::move(work);
  stream.frontier = {&node};
  return true;
}

void drain_host_functions() {
  if (t_in_host_function) return;  // a host function that waits for itself would never end
  HostFunctions& all = host_functions();
  std::unique_lock lock(all.lock);
  if (!all.started) return;
  all.idle.wait(lock, [&] { return all.queue.empty() && !all.busy; });
}

}  // namespace vramtrack::sim

extern "C" {

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) { return begin(stream, mode, nullptr); }
CUresult cuStreamBeginCapture(CUstream stream) { return begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL, nullptr); }
CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph graph, const CUgraphNode* dependencies,
                                     const CUgraphEdgeData*, size_t count, CUstreamCaptureMode mode) {
  if (graph == nullptr) return CUDA_ERROR_INVALID_VALUE;
  const CUresult status = begin(stream, mode, reinterpret_cast<Graph*>(graph));
  if (status != CUDA_SUCCESS) return status;
  return update(stream, const_cast<CUgraphNode*>(dependencies), count, CU_STREAM_SET_CAPTURE_DEPENDENCIES);
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph* out) {
  Call call(handle);
  if (call.status != CUDA_SUCCESS) return call.status;
  if (call.stream->capture == nullptr) return CUDA_ERROR_ILLEGAL_STATE;
  const auto capture = call.stream->capture;
  if (capture->origin != call.stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
  if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread != this_thread()) {
    return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
  }
  leave_capture(capture.get());
  Graph* graph = capture->graph;
  capture->graph = nullptr;
  if (capture->invalidated) {
    if (capture->owns_graph) destroy_graph(graph);
    if (out != nullptr) *out = nullptr;
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  }
  if (out != nullptr) *out = reinterpret_cast<CUgraph>(graph);
  return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
  return info(stream, status, nullptr, nullptr, nullptr, nullptr);
}
CUresult cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id) {
  return info(stream, status, id, nullptr, nullptr, nullptr);
}
CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph,
                                   const CUgraphNode** dependencies, size_t* count) {
  return info(stream, status, id, graph, dependencies, count);
}
CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus* status, cuuint64_t* id, CUgraph* graph,
                                   const CUgraphNode** dependencies, const CUgraphEdgeData** edges, size_t* count) {
  if (edges != nullptr) *edges = nullptr;
  return info(stream, status, id, graph, dependencies, count);
}
CUresult cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode* nodes, size_t count, unsigned flags) {
  return update(stream, nodes, count, flags);
}
CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode* nodes, const CUgraphEdgeData*, size_t count,
                                              unsigned flags) {
  return update(stream, nodes, count, flags);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  if (mode == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::swap(*mode, t_mode);
  return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* data) {
  if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return launch_host(stream, [function, data] { function(data); });
}
CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback callback, void* data, unsigned) {
  if (callback == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return launch_host(stream, [stream, callback, data] { callback(stream, CUDA_SUCCESS, data); });
}
}
