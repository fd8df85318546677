// Turns rows of cuda_hooks.def into code. For each row: the exported wrapper, which calls the function of its caller's
// runtime, and pointer_slots wrappers, each bound to one looked-up real function. Included by wrappers_runtime.cpp and
// wrappers_driver.cpp only.
#pragma once

#include <cstddef>

#include "interpose/cuda/cuda_headers.hpp"

#include "interpose/cuda/array_bytes.hpp"
#include "interpose/cuda/call.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/cuda/special.hpp"
#include "interpose/cuda/table.hpp"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // deprecated functions are called too

#define RESULT_runtime cudaError_t
#define RESULT_driver CUresult

// The first statement of every wrapper takes the frame: its caller is the innermost frame of the recorded stack.
#define WRAPPER_BODY(api_, name, arguments, policy, by_name, find_real)                                          \
  {                                                                                                              \
    const ::vramtrack::CaptureStart here = VRAMTRACK_HERE();                                                     \
    const void* const function = find_real;                                                                      \
    const auto real = reinterpret_cast<decltype(&::name)>(const_cast<void*>(function));                          \
    if (real == nullptr) return static_cast<RESULT_##api_>(::vramtrack::hooks::symbol_missing);                  \
    const auto forward = [&]() -> int { return static_cast<int>(real arguments); };                              \
    [[maybe_unused]] const ::vramtrack::hooks::Call call{here, function, ::vramtrack::hooks::Api::api_, by_name, \
                                                         forward};                                               \
    using namespace ::vramtrack::hooks;                                                                          \
    return static_cast<RESULT_##api_>(POLICY_##policy);                                                          \
  }

#define POLICY_ALLOC(out, bytes, kind, stream) POLICY_ALLOC_PADDED(out, bytes, bytes, kind, stream)
#define POLICY_ALLOC_PADDED(out, bytes, asked, kind, stream)                                                        \
  ::vramtrack::hooks::alloc(call, [&](bool succeeded) -> AllocFacts {                                               \
    return {succeeded ? address_behind(out) : 0, succeeded ? static_cast<Bytes>(bytes) : static_cast<Bytes>(asked), \
            ::vramtrack::Kind::kind, address(stream)};                                                              \
  })
#define POLICY_FREE(pointer, kind) ::vramtrack::hooks::free(call, address(pointer), ::vramtrack::Kind::kind)
#define POLICY_SPECIAL(handler) special(call).handler

#define BY_POINTER_HOOK(api, since, name, parameters, arguments, policy) \
  template <unsigned slot>                                               \
  RESULT_##api name##_by_pointer parameters WRAPPER_BODY(                \
      api, name, arguments, policy, false, ::vramtrack::hooks::real_of_pointer(::vramtrack::hooks::Row::name, slot))

#define EXPORTED_HOOK(api, since, name, parameters, arguments, policy)                         \
  extern "C" __attribute__((visibility("default"))) RESULT_##api name parameters WRAPPER_BODY( \
      api, name, arguments, policy, true, ::vramtrack::hooks::real_for_caller(::vramtrack::hooks::Row::name, here.ip))

#define ROW_INFO(api, since, name, parameters, arguments, policy)                                   \
  {#name,                                                                                           \
   Api::api,                                                                                        \
   since,                                                                                           \
   reinterpret_cast<void*>(&::name),                                                                \
   {reinterpret_cast<void*>(&name##_by_pointer<0>), reinterpret_cast<void*>(&name##_by_pointer<1>), \
    reinterpret_cast<void*>(&name##_by_pointer<2>), reinterpret_cast<void*>(&name##_by_pointer<3>)}},
