// What a wrapper hands to the policy that carries it out: the real call and, for allocations, the facts to record,
// both as references to closures on the wrapper's stack (no templates below this line, so ~120 wrappers stay small).
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "interpose/core/event.hpp"
#include "interpose/cuda/contexts.hpp"
#include "interpose/recorder/recorder.hpp"

namespace vramtrack::hooks {

using Bytes = std::uint64_t;

enum class Api : std::uint8_t { runtime, driver };

/// cudaError_t and CUresult share these values.
inline constexpr int success = 0;
inline constexpr int out_of_memory = 2;
inline constexpr int symbol_missing = 302;  // cudaErrorSharedObjectSymbolNotFound, CUDA_ERROR_SHARED_OBJECT_...

struct AllocFacts {
  std::uint64_t address;
  Bytes bytes;
  Kind kind;
  std::uint64_t stream;
};

template <class Result, class... Arguments>
class FunctionRef {
 public:
  template <class F>
  FunctionRef(const F& f) noexcept  // NOLINT: implicit on purpose
      : closure_(&f), invoke_([](const void* closure, Arguments... arguments) -> Result {
          return (*static_cast<const F*>(closure))(arguments...);
        }) {}
  Result operator()(Arguments... arguments) const { return invoke_(closure_, arguments...); }

 private:
  const void* closure_;
  Result (*invoke_)(const void*, Arguments...);
};

/// The real function with the host's arguments: run it exactly once.
using RealCall = FunctionRef<int>;
/// `succeeded`: whether out-parameters may be read.
using Facts = FunctionRef<AllocFacts, bool>;

/// One call of a hooked function, as its policy sees it.
struct Call {
  const CaptureStart& start;
  const void* function;  // the real one
  Api api;
  bool by_name;  // through the exported wrapper: not the runtime that calls its driver
  RealCall real;
  std::uint32_t deaths = contexts::deaths();  // before the real call
};

std::uint64_t address(std::integral auto value) noexcept { return static_cast<std::uint64_t>(value); }
inline std::uint64_t address(const void* value) noexcept { return reinterpret_cast<std::uint64_t>(value); }
template <class T>
std::uint64_t address_behind(T* out) noexcept {
  return out == nullptr ? 0 : address(*out);
}
inline std::uint64_t address_behind(std::nullptr_t) noexcept { return 0; }

/// A call within another hook is part of what that records, unless a signal handler made it, or jumped out of that hook
/// before: then it is lost.
void count_in_handler(const Call& call, const HookScope& scope) noexcept;

int alloc(const Call& call, Facts facts) noexcept;
/// Same, for memory whose device is known from the arguments (host_device: host memory).
int alloc_on(const Call& call, Facts facts, std::int16_t device) noexcept;
int free(const Call& call, std::uint64_t address, Kind kind) noexcept;

/// Records an allocation that a call has just made, and an out-of-memory one that it refused. Only for the outermost.
void record_success(const Call& call, const AllocFacts& facts, std::int16_t device) noexcept;
void record_refusal(const Call& call, const AllocFacts& facts, std::int16_t device) noexcept;

/// Whether the stream is being captured: what it is asked to allocate then is a node's memory, not the pool's. One
/// driver call, which is allowed while any stream is being captured.
bool capturing(std::uint64_t stream) noexcept;

inline constexpr std::int16_t host_device = -1;
/// The device that an allocation of this kind by this thread lands on. Makes one driver call that touches no stream
/// and no last error.
std::int16_t device_for(Kind kind) noexcept;

}  // namespace vramtrack::hooks
