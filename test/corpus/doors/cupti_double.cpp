// A libcupti for tests, preloaded after libvramtrack.so and named by VRAMTRACK_CUPTI_LIBRARY: it has the callback
// functions of the real one, reports the calls of a few functions that pass through it, and makes allocations of its
// own that no hook can see. As the real one, it has room for one subscriber; from CUDA 13.3 on (DOUBLE_VERSION=130300)
// for several that ask for it. DOUBLE_BUSY: another client holds the only subscription.
#include <dlfcn.h>

#include <cstdlib>
#include <utility>

#include "test/corpus/doors/reported.hpp"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

CUpti_CallbackFunc g_callback = nullptr;
CUpti_SubscriberHandle g_first = nullptr;
bool g_several = false;
bool g_enabled[3][1024];
thread_local int t_refusal = 0;

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

EXPORT void double_tells(CUpti_CallbackDomain domain, CUpti_CallbackId id, CUpti_ApiCallbackSite site, const char* name,
                         const void* params, int* result) {
  if (g_callback == nullptr || !g_enabled[domain][id]) return;
  CUpti_CallbackData data{};
  data.callbackSite = site;
  data.functionName = name;
  data.functionParams = params;
  data.functionReturnValue = result;
  g_callback(nullptr, domain, id, &data);
}

namespace {

template <class Params, class Call>
int around(CUpti_CallbackDomain domain, CUpti_CallbackId id, const char* name, const Params& params, Call call) {
  return doors::around(double_tells, domain, id, name, params, call);
}

/// A function of the driver, reported; refuses one call of this thread when told to.
template <class Reported>
struct Refusing;
template <class Result, class... Arguments, class Params, CUpti_CallbackDomain domain, CUpti_CallbackId id>
struct Refusing<doors::Reported<Result(Arguments...), Params, domain, id>> {
  static inline Result (*real)(Arguments...) = nullptr;
  static Result call(Arguments... arguments) {
    const int refusal = std::exchange(t_refusal, 0);
    return refusal != 0 ? static_cast<Result>(refusal) : real(arguments...);
  }
};

template <class Reported>
void* report(const char* name, void* function) {
  using Refuser = Refusing<Reported>;
  Refuser::real = reinterpret_cast<decltype(Refuser::real)>(function);
  return Reported::over(name, reinterpret_cast<void*>(&Refuser::call), double_tells);
}

}  // namespace

// A runtime that asks for the driver's functions by way of the global scope gets them reported.
EXPORT CUresult cuGetProcAddress_v2(const char* symbol, void** found, int version, cuuint64_t flags,
                                    CUdriverProcAddressQueryResult* status) {
  static auto* real = next<decltype(::cuGetProcAddress_v2)>("cuGetProcAddress_v2");
  const CUresult result = real(symbol, found, version, flags, status);
  if (result != CUDA_SUCCESS || found == nullptr || *found == nullptr) return result;
#define RUNTIME(name, version)
#define DRIVER(name)                                                    \
  if (*found == reinterpret_cast<void*>(next<decltype(::name)>(#name))) \
    return *found = report<REPORTED_DRIVER(name)>(#name, *found), result;
#include "test/corpus/doors/reported.def"
#undef DRIVER
#undef RUNTIME
  return result;
}
/// The next call of the driver that this thread makes does nothing and returns `code`.
EXPORT void double_refuses(int code) { t_refusal = code; }

EXPORT CUptiResult cuptiGetVersion(uint32_t* version) {
  const char* other = std::getenv("DOUBLE_VERSION");
  *version = other != nullptr ? static_cast<uint32_t>(std::atoi(other)) : CUPTI_API_VERSION;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiSubscribe(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc callback, void*) {
  const bool taken = g_first != nullptr && !g_several;
  if (taken || std::getenv("DOUBLE_BUSY") != nullptr) return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
  static int handles[2];
  *subscriber = reinterpret_cast<CUpti_SubscriberHandle>(&handles[g_first == nullptr ? 0 : 1]);
  if (g_first != nullptr) return CUPTI_SUCCESS;  // the second one's callbacks are of no interest to the tests
  g_first = *subscriber;
  g_callback = callback;
  return CUPTI_SUCCESS;
}
// As of CUDA 13.3: headers before lack the last field or all of it, so this has a name of its own for the compiler.
struct SubscriberParams {
  size_t struct_size;
  const char* name;
  char* old_name;
  size_t old_size;
  uint8_t allow_several;
  uint8_t padding[7];
};
EXPORT CUptiResult subscribe_v2(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc callback, void* data,
                                SubscriberParams* params) asm("cuptiSubscribe_v2");
CUptiResult subscribe_v2(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc callback, void* data,
                         SubscriberParams* params) {
  if (params == nullptr || params->struct_size != sizeof *params) return CUPTI_ERROR_INVALID_PARAMETER;
  g_several = params->allow_several != 0;
  return cuptiSubscribe(subscriber, callback, data);
}
EXPORT CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle subscriber) {
  if (subscriber != g_first) return CUPTI_SUCCESS;
  g_first = nullptr;
  g_callback = nullptr;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiEnableCallback(uint32_t enable, CUpti_SubscriberHandle, CUpti_CallbackDomain domain,
                                       CUpti_CallbackId id) {
  if (domain > CUPTI_CB_DOMAIN_RUNTIME_API || id >= 1024) return CUPTI_ERROR_INVALID_PARAMETER;
  g_enabled[domain][id] = enable != 0;
  return CUPTI_SUCCESS;
}

EXPORT cudaError_t cudaMalloc(void** p, size_t n) {
  static auto* real = next<decltype(::cudaMalloc)>("cudaMalloc");
  const cudaMalloc_v3020_params params{p, n};
  return static_cast<cudaError_t>(around(CUPTI_CB_DOMAIN_RUNTIME_API, CUPTI_RUNTIME_TRACE_CBID_cudaMalloc_v3020,
                                         "cudaMalloc", params, [&] { return real(p, n); }));
}
EXPORT cudaError_t cudaFree(void* p) {
  static auto* real = next<decltype(::cudaFree)>("cudaFree");
  const cudaFree_v3020_params params{p};
  return static_cast<cudaError_t>(around(CUPTI_CB_DOMAIN_RUNTIME_API, CUPTI_RUNTIME_TRACE_CBID_cudaFree_v3020,
                                         "cudaFree", params, [&] { return real(p); }));
}

EXPORT cudaError_t cudaGraphAddMemAllocNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* from,
                                            size_t n, cudaMemAllocNodeParams* memory) {
  static auto* real = next<decltype(::cudaGraphAddMemAllocNode)>("cudaGraphAddMemAllocNode");
  const cudaGraphAddMemAllocNode_v11040_params params{node, graph, from, n, memory};
  return static_cast<cudaError_t>(
      around(CUPTI_CB_DOMAIN_RUNTIME_API, CUPTI_RUNTIME_TRACE_CBID_cudaGraphAddMemAllocNode_v11040,
             "cudaGraphAddMemAllocNode", params, [&] { return real(node, graph, from, n, memory); }));
}
EXPORT cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  static auto* real = next<decltype(::cudaGraphLaunch)>("cudaGraphLaunch");
  const cudaGraphLaunch_v10000_params params{graph, stream};
  return static_cast<cudaError_t>(around(CUPTI_CB_DOMAIN_RUNTIME_API, CUPTI_RUNTIME_TRACE_CBID_cudaGraphLaunch_v10000,
                                         "cudaGraphLaunch", params, [&] { return real(graph, stream); }));
}

// What a statically linked runtime in a program that blocks preloads would do: straight to the driver.
EXPORT int hidden_malloc(unsigned long long* p, size_t n) {
  static auto* real = next<decltype(::cuMemAlloc_v2)>("cuMemAlloc_v2");
  const cuMemAlloc_v2_params params{p, n};
  return around(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2, "cuMemAlloc_v2", params,
                [&] { return real(p, n); });
}
EXPORT int hidden_free(unsigned long long p) {
  static auto* real = next<decltype(::cuMemFree_v2)>("cuMemFree_v2");
  const cuMemFree_v2_params params{p};
  return around(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuMemFree_v2, "cuMemFree_v2", params,
                [&] { return real(p); });
}
EXPORT int hidden_graph_node(CUgraphNode* node, CUgraph graph, CUgraphNodeParams* wanted) {
  static auto* real = next<decltype(::cuGraphAddNode_v2)>("cuGraphAddNode_v2");
  const cuGraphAddNode_v2_params params{node, graph, nullptr, nullptr, 0, wanted};
  return around(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuGraphAddNode_v2, "cuGraphAddNode_v2", params,
                [&] { return real(node, graph, nullptr, nullptr, 0, wanted); });
}
EXPORT int hidden_pitch(unsigned long long* p, size_t* pitch, size_t width, size_t height) {
  static auto* real = next<decltype(::cuMemAllocPitch_v2)>("cuMemAllocPitch_v2");
  const cuMemAllocPitch_v2_params params{p, pitch, width, height, 4};
  return around(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuMemAllocPitch_v2, "cuMemAllocPitch_v2", params,
                [&] { return real(p, pitch, width, height, 4); });
}
EXPORT int hidden_array(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* desc) {
  static auto* real = next<decltype(::cuArrayCreate_v2)>("cuArrayCreate_v2");
  const cuArrayCreate_v2_params params{array, desc};
  return around(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuArrayCreate_v2, "cuArrayCreate_v2", params,
                [&] { return real(array, desc); });
}
