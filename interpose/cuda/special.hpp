// The policies that are more than "an address appears" or "an address goes": what several calls own together
// (VMM handles, IPC openings), what frees many things at once (contexts), and what hands out function pointers.
// Each method runs the real call exactly once and returns its result.
#pragma once

#include "interpose/cuda/cuda_headers.hpp"

#include "interpose/cuda/call.hpp"
#include "interpose/cuda/contexts.hpp"

namespace vramtrack::hooks {

class Special {
 public:
  explicit Special(const Call& call) noexcept : call_(call) {}

  // special_pointers.cpp: device pointers, imports, pools, graphs
  /// What stream 0 is for the functions with the suffix _ptsz.
  static constexpr std::uint64_t per_thread_stream = 2;
  int free_pointer(std::uint64_t pointer) const noexcept;
  template <class Pointer>
  int import_pointer(Pointer* out) const noexcept {
    return import_pointer_at([&] { return address_behind(out); });
  }
  template <class Pointer>
  int pool_alloc(Pointer* out, Bytes bytes, std::uint64_t pool, std::uint64_t stream,
                 std::uint64_t default_stream = 0) const noexcept {
    const Kind kind = stream_kind(stream == 0 ? default_stream : stream);
    return pool_alloc_from(pool, [&](bool succeeded) -> AllocFacts {
      return {succeeded ? address_behind(out) : 0, bytes, kind, stream};
    });
  }
  template <class Pointer>
  int stream_alloc(Pointer* out, Bytes bytes, std::uint64_t stream, std::uint64_t default_stream = 0) const noexcept {
    const Kind kind = stream_kind(stream == 0 ? default_stream : stream);
    return stream_alloc_from([&](bool succeeded) -> AllocFacts {
      return {succeeded ? address_behind(out) : 0, bytes, kind, stream};
    });
  }
  template <class Pool, class Props>
  int pool_create(Pool* out, const Props* props) const noexcept {
    return pool_created([&] { return address_behind(out); },
                        props != nullptr ? location_device(props->location.type, props->location.id) : host_device);
  }
  int pool_destroy(std::uint64_t pool) const noexcept;
  template <class Array>
  int foreign_mipmap(Array* out) const noexcept {
    return foreign_mipmap_at([&] { return address_behind(out); });
  }
  int free_mipmap(std::uint64_t array) const noexcept;
  template <class Params>
  int graph_alloc(Params* params) const noexcept {
    return alloc_on(
        call_,
        [&](bool succeeded) -> AllocFacts {
          return {succeeded ? address(params->dptr) : 0, params->bytesize, Kind::graph, 0};
        },
        params != nullptr ? location_device(params->poolProps.location.type, params->poolProps.location.id)
                          : host_device);
  }
  template <class Params>
  int graph_add_node(Params* params) const noexcept {
    if (params != nullptr && static_cast<int>(params->type) == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
      return graph_alloc(&params->alloc);
    if (params != nullptr && static_cast<int>(params->type) == CU_GRAPH_NODE_TYPE_MEM_FREE)
      return free(call_, address(params->free.dptr), Kind::graph);
    return call_.real();
  }
  /// cudaGraphAddNode: `params` is the fifth argument in libcudart.so.12 and the sixth in .so.13. Both lie in argument
  /// registers, so one wrapper can pass them through; which one to read is decided by the real function's library.
  int graph_add_node_any(void* fifth, void* sixth) const noexcept;

  // special_vmm.cpp: physical handles with reference counts
  int vmm_create(CUmemGenericAllocationHandle* handle, Bytes bytes, const CUmemAllocationProp* prop) const noexcept;
  int vmm_import(CUmemGenericAllocationHandle* handle) const noexcept;
  int vmm_multicast(CUmemGenericAllocationHandle* handle) const noexcept;
  int vmm_retain(CUmemGenericAllocationHandle* handle) const noexcept;
  int vmm_release(CUmemGenericAllocationHandle handle) const noexcept;
  int vmm_map(std::uint64_t pointer, Bytes bytes, CUmemGenericAllocationHandle handle) const noexcept;
  int vmm_unmap(std::uint64_t pointer, Bytes bytes) const noexcept;

  // contexts.cpp: where a context comes from, and what dies with it
  int context_create(CUcontext* out, int device) const noexcept;
  int context_attach(CUcontext* out) const noexcept;
  int context_destroy(std::uint64_t context) const noexcept;
  int context_detach(std::uint64_t context) const noexcept;
  int primary_retain(int device) const noexcept;
  int device_reset() const noexcept;
  int primary_reset(int device) const noexcept;
  int primary_release(int device) const noexcept;
  int green_destroy() const noexcept;

  // doors.cpp: function pointers handed out by the driver and the runtime
  int proc_address(const char* symbol, void** out, int version, unsigned long long flags) const noexcept;
  int entry_point(const char* symbol, void** out, unsigned version, unsigned long long flags) const noexcept;
  int entry_point_ptsz(const char* symbol, void** out, unsigned version, unsigned long long flags) const noexcept {
    constexpr unsigned long long per_thread = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    return entry_point(symbol, out, version, flags == 0 ? per_thread : flags);
  }

 private:
  template <class Type>
  static std::int16_t location_device(Type type, int id) noexcept {
    return static_cast<int>(type) == static_cast<int>(CU_MEM_LOCATION_TYPE_DEVICE) ? static_cast<std::int16_t>(id)
                                                                                   : host_device;
  }
  /// Of a stream-ordered allocation: a graph's, when the stream is being captured.
  Kind stream_kind(std::uint64_t stream) const noexcept;
  int import_pointer_at(FunctionRef<std::uint64_t> out) const noexcept;
  int stream_alloc_from(Facts facts) const noexcept;
  int pool_alloc_from(std::uint64_t pool, Facts facts) const noexcept;
  int pool_created(FunctionRef<std::uint64_t> out, std::int16_t device) const noexcept;
  int foreign_mipmap_at(FunctionRef<std::uint64_t> out) const noexcept;

  const Call& call_;
};

inline Special special(const Call& call) noexcept { return Special(call); }

/// Forgets what Special knows about this process's handles: in a forked child.
void reset_pointers() noexcept;
void reset_vmm() noexcept;

}  // namespace vramtrack::hooks
