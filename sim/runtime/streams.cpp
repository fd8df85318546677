// Streams, events, capture, graphs, IPC of events.
#include "sim/runtime/runtime.hpp"

using namespace vramtrack::sim;

extern "C" {

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned flags, int priority) {
  const Call call;
  return call ? done(call->cuStreamCreateWithPriority(out, flags, priority)) : call.error();
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) {
  return cudaStreamCreateWithPriority(out, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* out) { return cudaStreamCreateWithPriority(out, 0, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const Call call;
  return call ? done(call->cuStreamDestroy(stream)) : call.error();
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const Call call;
  return call ? done(call->cuStreamSynchronize(stream)) : call.error();
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  const Call call;
  return call ? done(call->cuStreamQuery(stream)) : call.error();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  const Call call;
  return call ? done(call->cuStreamWaitEvent(stream, event, flags)) : call.error();
}
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  const Call call;
  return call ? done(call->cuStreamGetPriority(stream, priority)) : call.error();
}
cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
  const Call call;
  return call ? done(call->cuStreamGetFlags(stream, flags)) : call.error();
}
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* id) {
  const Call call;
  return call ? done(call->cuStreamGetId(stream, id)) : call.error();
}
cudaError_t cudaStreamGetDevice(cudaStream_t, int* device) { return cudaGetDevice(device); }
cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback, void* data, unsigned flags) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuStreamAddCallback(stream, reinterpret_cast<CUstreamCallback>(callback), data, flags));
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  const Call call;
  return call ? done(call->cuLaunchHostFunc(stream, function, data)) : call.error();
}
cudaError_t cudaStreamAttachMemAsync(cudaStream_t stream, void* pointer, size_t bytes, unsigned flags) {
  const Call call;
  return call ? done(call->cuStreamAttachMemAsync(stream, address(pointer), bytes, flags)) : call.error();
}
cudaError_t cudaStreamCopyAttributes(cudaStream_t, cudaStream_t) { return Call().error(); }
cudaError_t cudaStreamGetAttribute(cudaStream_t, cudaStreamAttrID, cudaStreamAttrValue* value) {
  if (value != nullptr) *value = cudaStreamAttrValue{};
  return Call().error();
}
cudaError_t cudaStreamSetAttribute(cudaStream_t, cudaStreamAttrID, const cudaStreamAttrValue*) {
  return Call().error();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned flags) {
  const Call call;
  return call ? done(call->cuEventCreate(out, flags)) : call.error();
}
cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const Call call;
  return call ? done(call->cuEventDestroy(event)) : call.error();
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  const Call call;
  return call ? done(call->cuEventRecordWithFlags(event, stream, flags)) : call.error();
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return cudaEventRecordWithFlags(event, stream, 0);
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const Call call;
  return call ? done(call->cuEventQuery(event)) : call.error();
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  const Call call;
  return call ? done(call->cuEventSynchronize(event)) : call.error();
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  const Call call;
  return call ? done(call->cuEventElapsedTime(milliseconds, start, end)) : call.error();
}
#if SIM_CUDART_MAJOR == 12
cudaError_t cudaEventElapsedTime_v2(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  return cudaEventElapsedTime(milliseconds, start, end);
}
#endif
cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t* out, cudaEvent_t event) {
  const Call call;
  return call ? done(call->cuIpcGetEventHandle(reinterpret_cast<CUipcEventHandle*>(out), event)) : call.error();
}
cudaError_t cudaIpcOpenEventHandle(cudaEvent_t* out, cudaIpcEventHandle_t handle) {
  const Call call;
  CUipcEventHandle plain;
  static_assert(sizeof plain == sizeof handle);
  __builtin_memcpy(&plain, &handle, sizeof plain);
  return call ? done(call->cuIpcOpenEventHandle(out, plain)) : call.error();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  const Call call;
  return call ? done(call->cuStreamBeginCapture(stream, static_cast<CUstreamCaptureMode>(mode))) : call.error();
}
cudaError_t cudaStreamBeginCaptureToGraph(cudaStream_t stream, cudaGraph_t graph, const cudaGraphNode_t* nodes,
                                          const cudaGraphEdgeData* edges, size_t count, cudaStreamCaptureMode mode) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuStreamBeginCaptureToGraph(stream, graph, nodes, reinterpret_cast<const CUgraphEdgeData*>(edges),
                                                count, static_cast<CUstreamCaptureMode>(mode)));
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* out) {
  const Call call;
  return call ? done(call->cuStreamEndCapture(stream, out)) : call.error();
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuStreamIsCapturing(stream, reinterpret_cast<CUstreamCaptureStatus*>(status)));
}
cudaError_t sim_capture_info(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                             cudaGraph_t* graph, const cudaGraphNode_t** nodes, const cudaGraphEdgeData** edges,
                             size_t* count) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuStreamGetCaptureInfo(stream, reinterpret_cast<CUstreamCaptureStatus*>(status),
                                           reinterpret_cast<cuuint64_t*>(id), graph, nodes,
                                           reinterpret_cast<const CUgraphEdgeData**>(edges), count));
}
#if SIM_CUDART_MAJOR == 12
cudaError_t sim_capture_info_1(cudaStream_t, cudaStreamCaptureStatus*,
                               unsigned long long*) asm("cudaStreamGetCaptureInfo");
cudaError_t sim_capture_info_1(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id) {
  return sim_capture_info(stream, status, id, nullptr, nullptr, nullptr, nullptr);
}
cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                        cudaGraph_t* graph, const cudaGraphNode_t** nodes, size_t* count) {
  return sim_capture_info(stream, status, id, graph, nodes, nullptr, count);
}
cudaError_t cudaStreamGetCaptureInfo_v3(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                        cudaGraph_t* graph, const cudaGraphNode_t** nodes,
                                        const cudaGraphEdgeData** edges, size_t* count) {
  return sim_capture_info(stream, status, id, graph, nodes, edges, count);
}
#else
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                                     cudaGraph_t* graph, const cudaGraphNode_t** nodes, const cudaGraphEdgeData** edges,
                                     size_t* count) {
  return sim_capture_info(stream, status, id, graph, nodes, edges, count);
}
cudaError_t cudaStreamUpdateCaptureDependencies(cudaStream_t stream, cudaGraphNode_t* nodes,
                                                const cudaGraphEdgeData* edges, size_t count, unsigned flags) {
  const Call call;
  if (!call) return call.error();
  return done(call->cuStreamUpdateCaptureDependencies(stream, nodes, reinterpret_cast<const CUgraphEdgeData*>(edges),
                                                      count, flags));
}
#endif
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  const Call call(Call::driver);
  if (!call) return call.error();
  return done(call->cuThreadExchangeStreamCaptureMode(reinterpret_cast<CUstreamCaptureMode*>(mode)));
}
}
