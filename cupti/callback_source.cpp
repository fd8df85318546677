#include "cupti/callback_source.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <cuda_runtime_api.h>
#include <cupti.h>

#include "contract/notes.hpp"
#include "interpose/core/lock.hpp"
#include "interpose/core/options.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/core/say.hpp"
#include "interpose/cuda/array_bytes.hpp"
#include "interpose/cuda/call.hpp"
#include "interpose/cuda/cuda_facts.hpp"
#include "interpose/cuda/doors.hpp"
#include "interpose/cuda/elf.hpp"
#include "interpose/recorder/recorder.hpp"
#include "interpose/trace/fact_writer.hpp"
#include "interpose/trace/writer.hpp"

namespace vramtrack::cupti {

namespace {

constexpr int already_subscribed = 39;  // CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED

// cuptiSubscribe_v2 and its parameters as of CUDA 13.3, the first in which several clients can subscribe: older headers
// lack the last field or all of it.
constexpr std::uint32_t first_with_several = 130300;
struct SubscriberParams {
  std::size_t struct_size = sizeof(SubscriberParams);
  const char* name = "vramtrack";
  char* other_name = nullptr;
  std::size_t other_size = 0;
  std::uint8_t allow_several = 1;
  std::uint8_t padding[7]{};
};
static_assert(sizeof(SubscriberParams) == 40);
using SubscribeV2 = int(CUpti_SubscriberHandle*, CUpti_CallbackFunc, void*, SubscriberParams*);

struct Api {
  decltype(&::cuptiSubscribe) subscribe = nullptr;
  SubscribeV2* subscribe_v2 = nullptr;
  decltype(&::cuptiUnsubscribe) unsubscribe = nullptr;
  decltype(&::cuptiEnableCallback) enable = nullptr;
  decltype(&::cuptiGetVersion) version = nullptr;
};

std::atomic<bool> g_on{false};
std::atomic<bool> g_handed_over{false};
CUpti_SubscriberHandle g_subscriber = nullptr;
decltype(&::cuptiUnsubscribe) g_unsubscribe = nullptr;
std::uint32_t g_version = 0;
void* g_library = nullptr;

std::atomic<std::uint64_t> g_seen{0};

/// The note `audit` as long as nothing is known: the process may be killed, or there is no CUPTI to ask.
void note_without_figures(const char* why_unavailable) noexcept {
  trace::FactWriter fact;
  fact.begin_map();
  fact.field(fact::audit::source, "cupti");
  fact.field(fact::audit::complete, false);
  why_unavailable == nullptr ? fact.null_field(fact::audit::unavailable)
                             : fact.field(fact::audit::unavailable, why_unavailable);
  fact.write(trace::note_key::audit);
}

/// Says why there is no second witness, once, and in the trace.
void go_on_without(const char* why, const char* advice = "") noexcept {
  say(why, ": going on with the hooks alone", advice);
  note_without_figures(why);
}

// Calls by function. A name is CUPTI's own constant string; the last place takes what finds none.
struct Calls {
  std::atomic<const char*> name{nullptr};
  std::atomic<std::uint64_t> count{0};
  std::atomic<std::uint64_t> bytes{0};
};
constexpr int most_functions = 64;
using Tally = Calls[most_functions];
Tally g_missed;

// A graph's launch gives its allocation nodes their memory: recorded when the node was made, which is what is compared.
// Launches are named in the audit, so that they are not taken for something unseen.
Tally g_launches;
std::atomic<bool> g_graph_memory{false};  // an allocation node was seen

thread_local int t_depth = 0;  // calls that CUPTI reports can nest: the runtime calls the driver

void count(Tally& tally, const char* name, std::uint64_t bytes) noexcept {
  for (Calls& calls : tally) {
    if (&calls == tally + most_functions - 1) name = "other functions";
    const char* known = calls.name.load(std::memory_order_acquire);
    if (known == nullptr && calls.name.compare_exchange_strong(known, name)) known = name;
    if (known != name && std::string_view(known) != name) continue;
    calls.count.fetch_add(1, std::memory_order_relaxed);
    calls.bytes.fetch_add(bytes, std::memory_order_relaxed);
    return;
  }
}

void clear(Tally& tally) noexcept {
  for (Calls& calls : tally) {
    calls.name.store(nullptr, std::memory_order_relaxed);
    calls.count.store(0, std::memory_order_relaxed);
    calls.bytes.store(0, std::memory_order_relaxed);
  }
}

struct Seen {
  bool allocates;
  std::uint64_t address;  // of an allocation: only after success
  std::uint64_t bytes;
  Kind kind;
  std::uint64_t stream;
};

std::uint64_t array_bytes(const CUDA_ARRAY_DESCRIPTOR& array) noexcept {
  return hooks::array_bytes(array.Format, array.NumChannels, array.Width, array.Height, 0, 0, 1);
}
std::uint64_t array_bytes(const CUDA_ARRAY3D_DESCRIPTOR& array, unsigned levels) noexcept {
  return hooks::array_bytes(array.Format, array.NumChannels, array.Width, array.Height, array.Depth, array.Flags,
                            levels);
}

// Of libcudart.so.12, which knew no edge data yet; the headers of CUDA 13 have the later form only.
struct RuntimeAddNodeV1 {
  cudaGraphNode_t* node;
  cudaGraph_t graph;
  const cudaGraphNode_t* dependencies;
  std::size_t count;
  cudaGraphNodeParams* nodeParams;
};

/// False for a node that holds no memory.
template <class NodeParams>
bool look_at_node(const NodeParams* node, bool succeeded, Seen& seen) noexcept {
  const int type = node == nullptr ? -1 : static_cast<int>(node->type);
  if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
    seen = {true, succeeded ? hooks::address(node->alloc.dptr) : 0, node->alloc.bytesize, Kind::graph, 0};
  else if (type == CU_GRAPH_NODE_TYPE_MEM_FREE)
    seen = {false, hooks::address(node->free.dptr), 0, Kind::graph, 0};
  else
    return false;
  return true;
}

bool launches_graph(CUpti_CallbackDomain domain, CUpti_CallbackId id) noexcept {
#define ALLOC(...)
#define FREE(...)
#define NODE(...)
#define LAUNCH(domain_, cbid) \
  if (domain == CUPTI_CB_DOMAIN_##domain_ && id == cbid) return true;
#include "cupti/functions.def"
#undef ALLOC
#undef FREE
#undef NODE
#undef LAUNCH
  return false;
}

/// What a reported call does; false for one that moves no memory.
bool look_at(CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* params, bool succeeded,
             Seen& seen) noexcept {
  using hooks::address;
  using hooks::address_behind;
#define ALLOC(domain_, cbid, Params, out, bytes, kind, stream)                              \
  if (domain == CUPTI_CB_DOMAIN_##domain_ && id == cbid) {                                  \
    const auto* p = static_cast<const Params*>(params);                                     \
    seen = {true, succeeded ? address_behind(out) : 0, bytes, Kind::kind, address(stream)}; \
    return true;                                                                            \
  }
#define FREE(domain_, cbid, Params, pointer, kind)         \
  if (domain == CUPTI_CB_DOMAIN_##domain_ && id == cbid) { \
    const auto* p = static_cast<const Params*>(params);    \
    seen = {false, address(pointer), 0, Kind::kind, 0};    \
    return true;                                           \
  }
#define NODE(domain_, cbid, Params)                      \
  if (domain == CUPTI_CB_DOMAIN_##domain_ && id == cbid) \
    return look_at_node(static_cast<const Params*>(params)->nodeParams, succeeded, seen);
#define LAUNCH(...)
#include "cupti/functions.def"
#undef ALLOC
#undef FREE
#undef NODE
#undef LAUNCH
  return false;
}

void count_seen(const Seen& seen) noexcept {
  g_seen.fetch_add(1, std::memory_order_relaxed);
  if (seen.kind == Kind::graph) g_graph_memory.store(true, std::memory_order_relaxed);
}

void entered(const Seen& seen) noexcept {
  reported_call::begin();
  if (seen.allocates || !g_host_options.cupti || seen.address == 0 || !tracing()) return;
  reported_call::take_out({Layer::cuda, hooks::host_device, seen.kind, seen.address, 0});
}

void left(const char* name, const Seen& seen, bool succeeded, const CaptureStart& here) noexcept {
  if (!seen.allocates) return reported_call::end_free(succeeded);
  if (!succeeded || seen.address == 0 || !recording()) return;
  count_seen(seen);
  if (reported_call::recorded(seen.address)) return;
  count(g_missed, name, seen.bytes);
  if (!g_host_options.cupti) return;
  const HookScope scope;
  record_alloc({Layer::cuda, seen.kind, hooks::device_for(seen.kind), seen.address, seen.bytes, seen.stream, 0}, here);
}

void CUPTIAPI callback(void*, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) noexcept {
  const CaptureStart here = VRAMTRACK_HERE();
  const SavedErrno keep;
  const auto& info = *static_cast<const CUpti_CallbackData*>(data);
  const bool enters = info.callbackSite == CUPTI_API_ENTER;
  if (!enters && t_depth == 0) return;  // of a call that began before we subscribed
  const int depth = enters ? t_depth++ : --t_depth;
  if (depth != 0) return;
  const bool succeeded =
      !enters && info.functionReturnValue != nullptr && *static_cast<const int*>(info.functionReturnValue) == 0;
  Seen seen{};
  if (!look_at(domain, id, info.functionParams, succeeded, seen)) {
    if (succeeded && launches_graph(domain, id)) count(g_launches, info.functionName, 0);
    return;
  }
  if (inside_hook()) {  // a hook is around this call: seen by both
    if (succeeded && seen.allocates && seen.address != 0 && tracing()) count_seen(seen);
    return;
  }
  if (enters)
    entered(seen);
  else
    left(info.functionName, seen, succeeded, here);
}

/// A libcupti that is loaded already (torch.profiler's), one on the loader's path, or the one beside libcudart as
/// NVIDIA's wheels lay it out.
void* open_library() noexcept {
  if (*g_host_options.cupti_library != 0) return dlopen(g_host_options.cupti_library, RTLD_NOW | RTLD_LOCAL);
  for (const int flags : {RTLD_NOW | RTLD_NOLOAD, RTLD_NOW | RTLD_LOCAL})
    for (const char* name : {"libcupti.so.13", "libcupti.so.12"})
      if (void* library = dlopen(name, flags)) return library;
  for (const char* runtime : {"libcudart.so.13", "libcudart.so.12"}) {
    const hooks::Module module = hooks::find_module(runtime);
    if (!module || module.path == nullptr) continue;
    const std::string_view path(module.path);
    const auto folder = path.substr(0, path.rfind('/'));
    for (const char* tail : {"/libcupti.so.13", "/../../cuda_cupti/lib/libcupti.so.12"}) {
      Line candidate;
      candidate << folder << tail;
      if (void* library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    }
  }
  return nullptr;
}

template <class F>
void find(F& function, const char* name) noexcept {
  function = reinterpret_cast<F>(hooks::real_dlsym(g_library, name));
}

int subscribe(const Api& api) noexcept {
  const auto function = reinterpret_cast<CUpti_CallbackFunc>(&callback);
  if (api.subscribe_v2 != nullptr && g_version >= first_with_several) {
    SubscriberParams params;
    const int failed = api.subscribe_v2(&g_subscriber, function, nullptr, &params);
    if (failed == CUPTI_SUCCESS || failed == already_subscribed) return failed;
  }
  return api.subscribe(&g_subscriber, function, nullptr);
}

bool enable_all(const Api& api) noexcept {
  bool any = false;
#define ALLOC(domain, cbid, ...) any |= api.enable(1, g_subscriber, CUPTI_CB_DOMAIN_##domain, cbid) == CUPTI_SUCCESS;
#define FREE ALLOC
#define NODE ALLOC
#define LAUNCH ALLOC
#include "cupti/functions.def"
#undef ALLOC
#undef FREE
#undef NODE
#undef LAUNCH
  return any;
}

/// The entries of a tally as a list; returns the sum of their counts.
std::uint64_t write(trace::FactWriter& fact, fact::Field<fact::Type::parts> of, const Tally& tally,
                    bool with_bytes) noexcept {
  std::uint64_t sum = 0;
  fact.begin_list(of);
  for (const Calls& calls : tally) {
    const char* name = calls.name.load(std::memory_order_acquire);
    if (name == nullptr) break;
    fact.begin_map();
    fact.field(fact::calls::function, name);
    fact.field(fact::calls::count, calls.count.load());
    if (with_bytes) fact.field(fact::calls::bytes, calls.bytes.load());
    fact.end();
    sum += calls.count.load();
  }
  fact.end();
  return sum;
}

}  // namespace

void start() noexcept {
  if ((!g_host_options.cupti && !g_host_options.audit) || g_on.load(std::memory_order_acquire)) return;
  const SavedErrno keep;
  g_library = open_library();
  if (g_library == nullptr) {
    dlerror();
    go_on_without("no libcupti.so.12 or .13 can be opened",
                  ". VRAMTRACK_CUPTI_LIBRARY=/path/libcupti.so.13 names one.");
    return;
  }
  Api api;
  find(api.subscribe, "cuptiSubscribe");
  find(api.subscribe_v2, "cuptiSubscribe_v2");
  find(api.unsubscribe, "cuptiUnsubscribe");
  find(api.enable, "cuptiEnableCallback");
  find(api.version, "cuptiGetVersion");
  if (api.subscribe == nullptr || api.enable == nullptr || api.version == nullptr) {
    go_on_without("libcupti lacks the callback functions");
    return;
  }
  int failed = api.version(&g_version);
  if (failed == CUPTI_SUCCESS) failed = subscribe(api);
  if (failed == already_subscribed) {
    go_on_without("another tool (torch.profiler, Nsight) holds CUPTI's only subscription");
    return;
  }
  if (failed != CUPTI_SUCCESS || !enable_all(api)) {
    Line why;
    why << "CUPTI cannot be used (its error " << failed << ")";
    go_on_without(why.c_str());
    if (failed == CUPTI_SUCCESS && api.unsubscribe != nullptr) api.unsubscribe(g_subscriber);
    return;
  }
  g_unsubscribe = api.unsubscribe;
  g_handed_over.store(false, std::memory_order_relaxed);
  note_without_figures(nullptr);
  g_on.store(true, std::memory_order_release);
}

bool hand_over() noexcept {
  if (!g_on.load(std::memory_order_acquire) || g_unsubscribe == nullptr || g_handed_over.exchange(true)) return false;
  const SavedErrno keep;
  if (g_unsubscribe(g_subscriber) != CUPTI_SUCCESS) return false;
  say("another tool (torch.profiler) asks for CUPTI, which has one subscriber: it is handed over, and the hooks go on");
  return true;
}

void finish() noexcept {
  if (!g_on.exchange(false) || trace::active() == nullptr) return;
  const std::uint64_t graph_peak = cuda_facts::graph_peak_bytes();
  trace::FactWriter fact;
  fact.begin_map();
  fact.field(fact::audit::source, "cupti");
  fact.field(fact::audit::complete, true);
  fact.field(fact::audit::version, g_version);
  fact.field(fact::audit::allocations, g_seen.load());
  fact.field(fact::audit::handed_over, g_handed_over.load());
  fact.field(fact::audit::recorded, g_host_options.cupti);
  const std::uint64_t missed = write(fact, fact::audit::missed_functions, g_missed, true);
  fact.field(fact::audit::missed, missed);
  if (g_graph_memory.load(std::memory_order_relaxed) || graph_peak != 0)
    write(fact, fact::audit::explained, g_launches, false);
  fact.field(fact::audit::graph_peak_bytes, graph_peak);
  fact.write(trace::note_key::audit);
}

void reset() noexcept {
  g_on.store(false, std::memory_order_relaxed);
  g_seen.store(0, std::memory_order_relaxed);
  clear(g_missed);
  clear(g_launches);
  g_graph_memory.store(false, std::memory_order_relaxed);
  t_depth = 0;
}

}  // namespace vramtrack::cupti

// The driver calls this at cuInit in a library that CUDA_INJECTION64_PATH names: a way in for programs that cannot be
// preloaded. Symbols are bound by then, so the hooks see little; CUPTI's callbacks see it all.
extern "C" __attribute__((visibility("default"))) int InitializeInjection() {
  vramtrack::g_host_options.cupti = true;
  vramtrack::cupti::start();
  return 1;
}
