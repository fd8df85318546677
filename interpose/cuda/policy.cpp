// The two plain policies: memory appears, memory goes. Traced process, any thread, inside a CUDA call: no lock is held
// while the real function runs, and nothing here can change its result, errno or the runtime's last error.
#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/call.hpp"
#include "interpose/cuda/contexts.hpp"
#include "interpose/cuda/cuda_headers.hpp"
#include "interpose/cuda/elf.hpp"
#include "interpose/cuda/framework_pool.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/cuda/table.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/stacks/native_stack.hpp"

namespace vramtrack::hooks {

namespace {

bool on_host(Kind kind) noexcept { return kind == Kind::host_pinned || kind == Kind::registered; }

/// A context died during the call: whether the block died with it, only the driver knows. (What dies between the
/// driver's answer and the next line is missed until the next such call.)
void settle(const Call& call, const AllocEvent& event) noexcept {
  const std::uint32_t now = contexts::deaths();
  const bool known = ledger::live_bytes_of(Layer::cuda, event.device, event.kind, event.address) != 0;
  if (contexts::alive(event.address, event.kind)) {
    contexts::own(event.address, event.kind, event.device, now);
    if (!known) record_alloc(event, call.start);
    return;
  }
  contexts::disown(event.address, event.kind);
  if (known) record_free({Layer::cuda, event.device, event.kind, event.address, 0});
}

bool dies_with_context(Kind kind) noexcept {
  return kind == Kind::device || kind == Kind::managed || kind == Kind::array || on_host(kind);
}

}  // namespace

std::int16_t device_for(Kind kind) noexcept {
  if (on_host(kind)) return host_device;
  int device = 0;
  if (auto* get = VRAMTRACK_DRIVER(cuCtxGetDevice); get != nullptr && get(&device) == CUDA_SUCCESS)
    return static_cast<std::int16_t>(device);
  // No driver library that we can see: ask a runtime. It has just allocated, so this cannot fail and set an error.
  const unsigned loaded = loaded_runtimes();
  for (unsigned r = unknown_runtime; r-- > 0;) {
    if ((loaded >> r & 1) == 0) continue;
    auto* get = reinterpret_cast<decltype(&::cudaGetDevice)>(runtime_function(r, "cudaGetDevice"));
    if (get != nullptr && get(&device) == cudaSuccess) return static_cast<std::int16_t>(device);
  }
  return 0;
}

// A stream without a context (the thread's first call) is not capturing; the legacy stream says so while another is.
bool capturing(std::uint64_t stream) noexcept {
  auto* get = VRAMTRACK_DRIVER(cuStreamIsCapturing);
  CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
  if (get == nullptr) return false;
  const CUresult failed = get(reinterpret_cast<CUstream>(stream), &status);
  return failed == CUDA_SUCCESS ? status != CU_STREAM_CAPTURE_STATUS_NONE
                                : failed == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
}

void record_success(const Call& call, const AllocFacts& facts, std::int16_t device) noexcept {
  if (facts.address == 0 || !recording()) return;
  const SavedErrno keep;
  const bool owned = dies_with_context(facts.kind);
  if (owned) contexts::own(facts.address, facts.kind, device, call.deaths);
  const AllocEvent event{Layer::cuda, facts.kind, device, facts.address, facts.bytes, facts.stream, 0};
  record_alloc(event, call.start);
  if (owned && contexts::died_since(call.deaths)) [[unlikely]]
    settle(call, event);
}

void record_refusal(const Call& call, const AllocFacts& facts, std::int16_t device) noexcept {
  const SavedErrno keep;
  // PyTorch's allocator empties its cache and asks again; when it gives up it says so itself (torch_hooks.cpp).
  if (framework_pool.reports_refusals(call.start.ip, facts.kind) || !recording()) return;
  record_oom(Layer::cuda, device, facts.bytes, 0, 0, call.start);
}

void count_in_handler(const Call& call, const HookScope& scope) noexcept {
  if (!call.by_name) return;
  const auto [begin, end] = own_range();
  const bool left_behind = !scope.in_handler() && !stacks::stands_above(call.start, begin, end);
  if (left_behind) HookScope::forget_outer();  // the next event is one of its own
  if (left_behind || scope.in_handler()) count_dropped();
}

int alloc_on(const Call& call, Facts facts, std::int16_t device) noexcept {
  const HookScope scope;
  const int result = call.real();
  if (scope.outermost()) {
    if (result == success) record_success(call, facts(true), device);
    if (result == out_of_memory) record_refusal(call, facts(false), device);
  } else if (result == success) {
    count_in_handler(call, scope);
  }
  return result;
}

int alloc(const Call& call, Facts facts) noexcept {
  const HookScope scope;
  const int result = call.real();
  if (scope.outermost() && (result == success || result == out_of_memory)) {
    const SavedErrno keep;
    const AllocFacts found = facts(result == success);
    if (result == success && found.address != 0) record_success(call, found, device_for(found.kind));
    if (result == out_of_memory) record_refusal(call, found, device_for(found.kind));
  } else if (!scope.outermost() && result == success) {
    count_in_handler(call, scope);
  }
  return result;
}

// The free is recorded before the call: afterwards another thread may already own the address.
int free(const Call& call, std::uint64_t pointer, Kind kind) noexcept {
  const HookScope scope;
  if (!scope.outermost() && pointer != 0) count_in_handler(call, scope);
  if (!scope.outermost() || pointer == 0 || !tracing()) return call.real();
  const contexts::Owned owned = contexts::disown(pointer, kind);
  const ledger::Removed removed = record_free({Layer::cuda, host_device, kind, pointer, 0});
  const int result = call.real();
  if (result != success) {
    const SavedErrno keep;
    take_back(removed);
    contexts::restore(pointer, owned);
  }
  return result;
}

}  // namespace vramtrack::hooks
