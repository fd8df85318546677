// Plain device memory, pinned host memory, managed memory, memory information.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "sim/driver/capture.hpp"
#include "sim/driver/state.hpp"

using namespace vramtrack::sim;

namespace vramtrack::sim {

CUresult allocate_device(Device& device, Context& context, std::uint64_t bytes, Kind kind, CUdeviceptr* out) {
  Driver& state = driver();
  if (!charge_or_reclaim(device, bytes, &Device::charge_allocation)) return CUDA_ERROR_OUT_OF_MEMORY;
  Allocation allocation;
  allocation.bytes = bytes;
  allocation.span = round_up(bytes, 512);
  allocation.base = state.backing.take(device.index(), allocation.span, bytes >= big_page ? big_page : 512);
  if (allocation.base == 0) {
    device.release_allocation(bytes);
    device.count_failure();
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  allocation.kind = kind;
  allocation.device = device.index();
  allocation.context = &context;
  *out = record(allocation).base;
  return CUDA_SUCCESS;
}

}  // namespace vramtrack::sim

namespace {

CUresult allocate_host(void** out, size_t bytes, unsigned flags) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult status = forbid_in_capture(); status != CUDA_SUCCESS) return status;
  void* memory = nullptr;
  const std::uint64_t page = system_page(), span = round_up(bytes, page);
  if (span < bytes || posix_memalign(&memory, page, span) != 0) return CUDA_ERROR_OUT_OF_MEMORY;
  Allocation allocation;
  allocation.base = reinterpret_cast<std::uint64_t>(memory);
  allocation.bytes = bytes;
  allocation.span = span;
  allocation.kind = Kind::host_pinned;
  allocation.device = entry.context().device;
  allocation.context = &entry.context();
  allocation.flags = flags;
  record(allocation);
  *out = memory;
  return CUDA_SUCCESS;
}

CUresult host_register(void* pointer, size_t bytes, unsigned flags) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (pointer == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  const auto base = reinterpret_cast<std::uint64_t>(pointer);
  if (find_allocation(base) != nullptr || find_allocation(base + bytes - 1) != nullptr) {
    return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
  }
  Allocation allocation;
  allocation.base = base;
  allocation.bytes = allocation.span = bytes;
  allocation.kind = Kind::registered;
  allocation.device = entry.context().device;
  allocation.context = &entry.context();
  allocation.flags = flags;
  record(allocation);
  return CUDA_SUCCESS;
}

/// The allocation that starts exactly at `address` and is of one of two kinds, or the end.
auto exact(std::uint64_t address, Kind kind, Kind other) {
  auto& all = driver().allocations;
  const auto found = all.find(address);
  if (found == all.end()) return found;
  return found->second.kind == kind || found->second.kind == other ? found : all.end();
}

}  // namespace

extern "C" {

CUresult cuMemAlloc_v2(CUdeviceptr* out, size_t bytes) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult status = forbid_in_capture(); status != CUDA_SUCCESS) return status;
  return allocate_device(entry.device(), entry.context(), bytes, Kind::device, out);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr* out, size_t* pitch, size_t width, size_t height, unsigned element) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || pitch == nullptr || width == 0 || height == 0) return CUDA_ERROR_INVALID_VALUE;
  if (element != 4 && element != 8 && element != 16) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult status = forbid_in_capture(); status != CUDA_SUCCESS) return status;
  const std::uint64_t row = round_up(width, 512);
  if (row < width || row > entry.device().total() || height > entry.device().total() / row) {
    entry.device().count_failure();
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  const CUresult status = allocate_device(entry.device(), entry.context(), row * height, Kind::device, out);
  if (status == CUDA_SUCCESS) *pitch = row;
  return status;
}

CUresult cuMemFree_v2(CUdeviceptr address) {
  await_allocation(address);
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (address == 0) return CUDA_SUCCESS;
  if (const CUresult status = forbid_in_capture(); status != CUDA_SUCCESS) return status;
  const auto found = entry->allocations.find(address);
  if (found == entry->allocations.end()) return CUDA_ERROR_INVALID_VALUE;
  switch (found->second.kind) {
    case Kind::device:
    case Kind::pool:
    case Kind::graph:
    case Kind::managed:
    case Kind::external:
      release(found);
      return CUDA_SUCCESS;
    case Kind::ipc:  // an imported pool pointer; other opened memory is closed, not freed
      if (found->second.pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
      release(found);
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult cuMemHostAlloc(void** out, size_t bytes, unsigned flags) { return allocate_host(out, bytes, flags); }
CUresult cuMemAllocHost_v2(void** out, size_t bytes) { return allocate_host(out, bytes, 0); }
CUresult cuMemAllocHost(void** out, unsigned bytes) { return allocate_host(out, bytes, 0); }

CUresult cuMemFreeHost(void* pointer) {
  await_allocation(reinterpret_cast<std::uint64_t>(pointer));
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (const CUresult status = forbid_in_capture(); status != CUDA_SUCCESS) return status;
  const auto found = exact(reinterpret_cast<std::uint64_t>(pointer), Kind::host_pinned, Kind::host_pinned);
  if (found == entry->allocations.end()) return CUDA_ERROR_INVALID_VALUE;
  release(found);
  return CUDA_SUCCESS;
}

CUresult cuMemHostRegister(void* pointer, size_t bytes, unsigned flags) { return host_register(pointer, bytes, flags); }
CUresult cuMemHostRegister_v2(void* pointer, size_t bytes, unsigned flags) {
  return host_register(pointer, bytes, flags);
}

CUresult cuMemHostUnregister(void* pointer) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const auto found = exact(reinterpret_cast<std::uint64_t>(pointer), Kind::registered, Kind::registered);
  if (found == entry->allocations.end()) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
  release(found);
  return CUDA_SUCCESS;
}

CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr* out, void* pointer, unsigned flags) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  const Allocation* found = find_allocation(reinterpret_cast<std::uint64_t>(pointer));
  if (found == nullptr || (found->kind != Kind::host_pinned && found->kind != Kind::registered)) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = reinterpret_cast<std::uint64_t>(pointer);
  return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned* flags, void* pointer) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const Allocation* found = find_allocation(reinterpret_cast<std::uint64_t>(pointer));
  if (flags == nullptr || found == nullptr || found->kind != Kind::host_pinned) return CUDA_ERROR_INVALID_VALUE;
  *flags = found->flags;
  return CUDA_SUCCESS;
}

CUresult cuMemAllocManaged(CUdeviceptr* out, size_t bytes, unsigned flags) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST) return CUDA_ERROR_INVALID_VALUE;
  if (const CUresult status = forbid_in_capture(); status != CUDA_SUCCESS) return status;
  // Managed memory lives on the host until the device touches it, and kernels do nothing here: it takes no device
  // memory, and may exceed the device's, as on a GPU.
  const std::uint64_t span = round_up(bytes, system_page());
  void* const memory =
      span < bytes ? MAP_FAILED
                   : mmap(nullptr, span, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
  Allocation allocation;
  allocation.base = reinterpret_cast<std::uint64_t>(memory);
  allocation.bytes = bytes;
  allocation.span = span;
  allocation.kind = Kind::managed;
  allocation.device = entry.context().device;
  allocation.context = &entry.context();
  allocation.flags = flags;
  *out = record(allocation).base;
  return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t* free, size_t* total) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (free == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *free = entry.device().free();
  *total = entry.device().total();
  return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr* base, size_t* size, CUdeviceptr address) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const Allocation* found = find_allocation(address);
  if (found == nullptr) return CUDA_ERROR_NOT_FOUND;
  if (base != nullptr) *base = found->base;
  if (size != nullptr) *size = found->bytes;
  return CUDA_SUCCESS;
}

CUresult cuMemPrefetchAsync(CUdeviceptr address, size_t, CUdevice, CUstream) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const Allocation* found = find_allocation(address);
  return found != nullptr && found->kind == Kind::managed ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMemPrefetchAsync_v2(CUdeviceptr address, size_t bytes, CUmemLocation, unsigned, CUstream stream) {
  return cuMemPrefetchAsync(address, bytes, 0, stream);
}
CUresult cuMemAdvise(CUdeviceptr address, size_t bytes, CUmem_advise, CUdevice) {
  return cuMemPrefetchAsync(address, bytes, 0, nullptr);
}
CUresult cuMemAdvise_v2(CUdeviceptr address, size_t bytes, CUmem_advise, CUmemLocation) {
  return cuMemPrefetchAsync(address, bytes, 0, nullptr);
}
}
