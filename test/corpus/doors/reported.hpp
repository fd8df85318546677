// A function of CUDA whose calls are reported to who subscribed at the CUPTI double, before and after, as a library of
// NVIDIA's reports its own.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <cupti.h>

extern "C" {  // the headers have these names only as what the plain ones are renamed to
decltype(::cudaMallocAsync) cudaMallocAsync_ptsz;
decltype(::cudaMallocFromPoolAsync) cudaMallocFromPoolAsync_ptsz;
decltype(::cudaFreeAsync) cudaFreeAsync_ptsz;
decltype(::cuMemAllocAsync) cuMemAllocAsync_ptsz;
decltype(::cuMemAllocFromPoolAsync) cuMemAllocFromPoolAsync_ptsz;
decltype(::cuMemFreeAsync) cuMemFreeAsync_ptsz;
}

namespace doors {

/// The double's own: what a reported call tells.
using Tell = void(CUpti_CallbackDomain, CUpti_CallbackId, CUpti_ApiCallbackSite, const char*, const void*, int*);

template <class Params, class Call>
int around(Tell* tell, CUpti_CallbackDomain domain, CUpti_CallbackId id, const char* name, const Params& params,
           Call call) {
  int result = 0;
  tell(domain, id, CUPTI_API_ENTER, name, &params, &result);
  result = static_cast<int>(call());
  tell(domain, id, CUPTI_API_EXIT, name, &params, &result);
  return result;
}

/// CUPTI's parameter structs repeat a function's parameters in their order.
template <class Function, class Params, CUpti_CallbackDomain domain, CUpti_CallbackId id>
struct Reported;
template <class Result, class... Arguments, class Params, CUpti_CallbackDomain domain, CUpti_CallbackId id>
struct Reported<Result(Arguments...), Params, domain, id> {
  using Function = Result(Arguments...);
  static inline Function* real = nullptr;
  static inline Tell* tell = nullptr;
  static inline const char* name = nullptr;

  static Result call(Arguments... arguments) {
    const Params params{arguments...};
    return static_cast<Result>(around(tell, domain, id, name, params, [&] { return real(arguments...); }));
  }
  static void* over(const char* its_name, void* function, Tell* told) {
    name = its_name;
    real = reinterpret_cast<Function*>(function);
    tell = told;
    return reinterpret_cast<void*>(&call);
  }
};

#define REPORTED_RUNTIME(name, version)                                                       \
  ::doors::Reported<decltype(::name), name##_##version##_params, CUPTI_CB_DOMAIN_RUNTIME_API, \
                    CUPTI_RUNTIME_TRACE_CBID_##name##_##version>
#define REPORTED_DRIVER(name) \
  ::doors::Reported<decltype(::name), name##_params, CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_DRIVER_TRACE_CBID_##name>

}  // namespace doors
