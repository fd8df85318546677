// A libcupti for tests, preloaded after libvramtrack.so and named by VRAMTRACK_CUPTI_LIBRARY: it has the callback
// functions of the real one, reports the cudaMalloc and cudaFree that pass through it, and makes allocations of its own
// that no hook can see. DOUBLE_BUSY: another client holds the only subscription.
#include <dlfcn.h>

#include <cstdlib>

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <cupti.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

CUpti_CallbackFunc g_callback = nullptr;
bool g_enabled[3][1024];

void tell(CUpti_CallbackDomain domain, CUpti_CallbackId id, CUpti_ApiCallbackSite site, const char* name,
          const void* params, int* result) {
  if (g_callback == nullptr || !g_enabled[domain][id]) return;
  CUpti_CallbackData data{};
  data.callbackSite = site;
  data.functionName = name;
  data.functionParams = params;
  data.functionReturnValue = result;
  g_callback(nullptr, domain, id, &data);
}

template <class Params, class Call>
int around(CUpti_CallbackDomain domain, CUpti_CallbackId id, const char* name, const Params& params, Call call) {
  int result = 0;
  tell(domain, id, CUPTI_API_ENTER, name, &params, &result);
  result = static_cast<int>(call());
  tell(domain, id, CUPTI_API_EXIT, name, &params, &result);
  return result;
}

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

EXPORT CUptiResult cuptiGetVersion(uint32_t* version) {
  *version = CUPTI_API_VERSION;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiSubscribe(CUpti_SubscriberHandle* subscriber, CUpti_CallbackFunc callback, void*) {
  if (std::getenv("DOUBLE_BUSY") != nullptr) return CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED;
  static int one;
  *subscriber = reinterpret_cast<CUpti_SubscriberHandle>(&one);
  g_callback = callback;
  return CUPTI_SUCCESS;
}
EXPORT CUptiResult cuptiUnsubscribe(CUpti_SubscriberHandle) {
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

// What a statically linked runtime in a program that blocks preloads would do: straight to the driver.
EXPORT int hidden_malloc(unsigned long long* p, size_t n) {
  static auto* real = next<decltype(::cuMemAlloc)>("cuMemAlloc_v2");
  const cuMemAlloc_v2_params params{p, n};
  return around(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2, "cuMemAlloc_v2", params,
                [&] { return real(p, n); });
}
EXPORT int hidden_free(unsigned long long p) {
  static auto* real = next<decltype(::cuMemFree)>("cuMemFree_v2");
  const cuMemFree_v2_params params{p};
  return around(CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_cuMemFree_v2, "cuMemFree_v2", params,
                [&] { return real(p); });
}
