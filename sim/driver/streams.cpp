// Streams and events outside of captures.

#include "sim/driver/capture.hpp"
#include "sim/driver/graph.hpp"

using namespace vramtrack::sim;

namespace {

struct Streams {
  Live<Stream> live;
  Live<Event> events;
  std::map<std::pair<Context*, int>, Stream*> defaults;  // (context, 1 legacy or 2 per thread)
  unsigned long long next_id = 10;
};

Streams& streams() {
  static Streams& all = *new Streams;
  return all;
}

/// How a call about one stream begins: the lock, the context and the stream.
struct StreamEntry {
  explicit StreamEntry(CUstream handle) : entry(Needs::context) {
    status = entry ? resolve_stream(handle, entry.context(), stream) : entry.status();
  }
  Entry entry;
  Stream* stream = nullptr;
  CUresult status;
};

Event* event_of(CUevent handle) {
  auto* event = reinterpret_cast<Event*>(handle);
  return streams().events.has(event) ? event : nullptr;
}

/// Waiting for a stream that captures is an error, and ends the capture.
CUresult refuse_capturing(Stream& stream) {
  if (stream.capture == nullptr) return CUDA_SUCCESS;
  stream.capture->invalidated = true;
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

}  // namespace

namespace vramtrack::sim {

CUresult resolve_stream(CUstream handle, Context& context, Stream*& out) {
  Streams& all = streams();
  const auto value = reinterpret_cast<std::uintptr_t>(handle);
  if (value > 2) {
    auto* stream = reinterpret_cast<Stream*>(handle);
    if (!all.live.has(stream)) return CUDA_ERROR_INVALID_HANDLE;
    out = stream;
    return CUDA_SUCCESS;
  }
  Stream*& standard = all.defaults[{&context, value == 2 ? 2 : 1}];
  if (standard == nullptr) {
    standard = new Stream;
    standard->context = &context;
    standard->id = value == 2 ? 2 : 1;
  }
  out = standard;
  return CUDA_SUCCESS;
}

WorkList pending_on(Stream& stream) {
  forget_done(stream.pending);
  WorkList found = stream.pending;
  // The legacy default stream and the blocking streams of its context wait for each other.
  const bool legacy = stream.id == 1;
  if (!legacy && (stream.flags & CU_STREAM_NON_BLOCKING) != 0) return found;
  const auto add = [&](Stream& other) {
    forget_done(other.pending);
    found.insert(found.end(), other.pending.begin(), other.pending.end());
  };
  for (auto& [key, other] : streams().defaults) {
    if (key.first == stream.context && other != &stream && (legacy || key.second == 1)) add(*other);
  }
  if (!legacy) return found;
  for (Stream* other : streams().live.all()) {
    if (other->context == stream.context && (other->flags & CU_STREAM_NON_BLOCKING) == 0) add(*other);
  }
  return found;
}

void leave_capture(const Capture* capture) {
  const auto leave = [&](Stream* stream) {
    if (stream->capture.get() != capture) return;
    stream->capture.reset();
    stream->frontier.clear();
  };
  for (Stream* stream : streams().live.all()) leave(stream);
  for (auto& [key, stream] : streams().defaults) leave(stream);
}

void release_streams(const Context& context) {
  for (Stream* stream : streams().live.all()) {
    if (stream->context == &context) {
      streams().live.remove(stream);
      delete stream;
    }
  }
  for (Event* event : streams().events.all()) {
    if (event->context == &context) {
      streams().events.remove(event);
      delete event;
    }
  }
}

}  // namespace vramtrack::sim

extern "C" {

CUresult cuStreamCreateWithPriority(CUstream* out, unsigned flags, int priority) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || flags > 1) return CUDA_ERROR_INVALID_VALUE;
  auto* stream = new Stream;
  stream->context = &entry.context();
  stream->flags = flags;
  stream->priority = priority > 0 ? 0 : priority < -5 ? -5 : priority;
  stream->id = streams().next_id++;
  *out = reinterpret_cast<CUstream>(streams().live.add(stream));
  return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream* out, unsigned flags) { return cuStreamCreateWithPriority(out, flags, 0); }

CUresult cuStreamDestroy_v2(CUstream handle) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (!streams().live.remove(handle)) return CUDA_ERROR_INVALID_HANDLE;
  delete reinterpret_cast<Stream*>(handle);
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy(CUstream handle) { return cuStreamDestroy_v2(handle); }

CUresult cuStreamSynchronize(CUstream handle) {
  WorkList before;
  {
    StreamEntry call(handle);
    if (call.status != CUDA_SUCCESS) return call.status;
    if (const CUresult status = refuse_capturing(*call.stream); status != CUDA_SUCCESS) return status;
    trim_pools(call.entry.context().device);
    before = pending_on(*call.stream);
  }
  const CUresult status = await(before);
  drain_host_functions();
  return status;
}
CUresult cuStreamQuery(CUstream handle) {
  StreamEntry call(handle);
  if (call.status != CUDA_SUCCESS) return call.status;
  const CUresult status = refuse_capturing(*call.stream);
  return status != CUDA_SUCCESS ? status : query(pending_on(*call.stream));
}
CUresult cuCtxSynchronize(void) {
  WorkList before;
  {
    Entry entry(Needs::context);
    if (!entry) return entry.status();
    if (const CUresult status = forbid_in_capture(); status != CUDA_SUCCESS) return status;
    trim_pools(entry.context().device);
    before = pending_on_device(entry.context().device);
  }
  const CUresult status = await(before);
  drain_host_functions();
  return status;
}
CUresult cuCtxSynchronize_v2(CUcontext) { return cuCtxSynchronize(); }

CUresult cuStreamGetPriority(CUstream handle, int* priority) {
  StreamEntry call(handle);
  if (call.status == CUDA_SUCCESS && priority != nullptr) *priority = call.stream->priority;
  return call.status;
}
CUresult cuStreamGetFlags(CUstream handle, unsigned* flags) {
  StreamEntry call(handle);
  if (call.status == CUDA_SUCCESS && flags != nullptr) *flags = call.stream->flags;
  return call.status;
}
CUresult cuStreamGetId(CUstream handle, unsigned long long* id) {
  StreamEntry call(handle);
  if (call.status == CUDA_SUCCESS && id != nullptr) *id = call.stream->id;
  return call.status;
}
CUresult cuStreamGetCtx(CUstream handle, CUcontext* out) {
  StreamEntry call(handle);
  if (call.status == CUDA_SUCCESS && out != nullptr) *out = reinterpret_cast<CUcontext>(call.stream->context);
  return call.status;
}
CUresult cuStreamGetCtx_v2(CUstream handle, CUcontext* context, CUgreenCtx* green) {
  if (green != nullptr) *green = nullptr;
  return cuStreamGetCtx(handle, context);
}
CUresult cuStreamGetDevice(CUstream handle, CUdevice* device) {
  StreamEntry call(handle);
  if (call.status == CUDA_SUCCESS && device != nullptr) *device = call.stream->context->device;
  return call.status;
}
CUresult cuStreamAttachMemAsync(CUstream handle, CUdeviceptr, size_t, unsigned) { return StreamEntry(handle).status; }
CUresult cuStreamCopyAttributes(CUstream, CUstream source) { return StreamEntry(source).status; }
CUresult cuStreamGetAttribute(CUstream handle, CUstreamAttrID, CUstreamAttrValue* value) {
  StreamEntry call(handle);
  if (call.status == CUDA_SUCCESS && value != nullptr) *value = CUstreamAttrValue{};
  return call.status;
}
CUresult cuStreamSetAttribute(CUstream handle, CUstreamAttrID, const CUstreamAttrValue*) {
  return StreamEntry(handle).status;
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned) {
  StreamEntry call(handle);
  if (call.status != CUDA_SUCCESS) return call.status;
  const Event* event = event_of(event_handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (event->capture == nullptr) {  // all other recorded work is done already
    auto& pending = call.stream->pending;
    forget_done(pending);
    pending.insert(pending.end(), event->pending.begin(), event->pending.end());
    return CUDA_SUCCESS;
  }
  if (call.stream->capture != nullptr && call.stream->capture != event->capture) {
    return CUDA_ERROR_STREAM_CAPTURE_MERGE;
  }
  call.stream->capture = event->capture;  // the stream joins the capture
  auto& frontier = call.stream->frontier;
  frontier.insert(frontier.end(), event->frontier.begin(), event->frontier.end());
  return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* out, unsigned flags) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  auto* event = new Event;
  event->context = &entry.context();
  event->flags = flags;
  *out = reinterpret_cast<CUevent>(streams().events.add(event));
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent handle) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (!streams().events.remove(handle)) return CUDA_ERROR_INVALID_HANDLE;
  delete reinterpret_cast<Event*>(handle);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent handle) { return cuEventDestroy_v2(handle); }

CUresult cuEventRecordWithFlags(CUevent handle, CUstream stream, unsigned) {
  StreamEntry call(stream);
  if (call.status != CUDA_SUCCESS) return call.status;
  Event* event = event_of(handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  event->recorded = true;
  event->milliseconds = pass_time();
  event->capture = call.stream->capture;
  event->frontier = call.stream->frontier;
  event->pending = pending_on(*call.stream);
  return CUDA_SUCCESS;
}
CUresult cuEventRecord(CUevent handle, CUstream stream) { return cuEventRecordWithFlags(handle, stream, 0); }

CUresult cuEventQuery(CUevent handle) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const Event* event = event_of(handle);
  if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (event->capture != nullptr && event->capture->graph != nullptr) return CUDA_ERROR_CAPTURED_EVENT;
  const CUresult status = forbid_in_capture();
  return status != CUDA_SUCCESS ? status : query(event->pending);
}
CUresult cuEventSynchronize(CUevent handle) {
  WorkList before;
  {
    Entry entry(Needs::context);
    if (!entry) return entry.status();
    const Event* event = event_of(handle);
    if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (event->capture != nullptr && event->capture->graph != nullptr) return CUDA_ERROR_CAPTURED_EVENT;
    trim_pools(event->context->device);
    before = event->pending;
  }
  const CUresult status = await(before);
  drain_host_functions();
  return status;
}

CUresult cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const Event *first = event_of(start), *last = event_of(end);
  if (milliseconds == nullptr || first == nullptr || last == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  if (!first->recorded || !last->recorded) return CUDA_ERROR_INVALID_HANDLE;
  if ((first->flags | last->flags) & CU_EVENT_DISABLE_TIMING) return CUDA_ERROR_INVALID_HANDLE;
  for (const Event* event : {first, last}) {
    if (query(event->pending) == CUDA_ERROR_NOT_READY) return CUDA_ERROR_NOT_READY;
  }
  *milliseconds = static_cast<float>(static_cast<std::int64_t>(last->milliseconds - first->milliseconds));
  return CUDA_SUCCESS;
}
CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return cuEventElapsedTime_v2(milliseconds, start, end);
}
}
