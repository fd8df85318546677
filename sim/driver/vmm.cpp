// Virtual memory management: physical handles with reference counts, address reservations, mappings, multicast objects.
// A handle's memory lives until it is released as often as it was created, retained or imported, and mapped nowhere.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "sim/driver/state.hpp"
#include "sim/driver/stream_work.hpp"

namespace vramtrack::sim {

struct Handle {
  int device = 0;
  CUmemAllocationProp properties{};
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  // in the backing file, or in fd
  int fd = -1;               // a memory file of its own, when it can be exported
  std::uint64_t references = 1;
  std::uint64_t mappings = 0;
  std::uint64_t serial = 0;
  bool imported = false;   // another process owns the memory: not counted as used here
  bool multicast = false;  // counts no memory of its own
  bool on_host = false;
  bool mapped_before = false;
};

}  // namespace vramtrack::sim

using namespace vramtrack::sim;

namespace {

struct State {
  Live<Handle> handles;
  std::map<std::uint64_t, std::uint64_t> reservations;  // start -> size
};
State& state() {
  static State& all = *new State;
  return all;
}

constexpr std::uint64_t granularity = big_page;

Handle* handle_of(CUmemGenericAllocationHandle value) {
  auto* handle = reinterpret_cast<Handle*>(value);
  return state().handles.has(handle) ? handle : nullptr;
}

CUmemGenericAllocationHandle value_of(Handle* handle) { return reinterpret_cast<CUmemGenericAllocationHandle>(handle); }

void remove_if_done(Handle* handle) {
  if (handle->references != 0 || handle->mappings != 0) return;
  Device& device = device_at(handle->device);
  if (handle->fd >= 0) {
    close(handle->fd);
  } else {
    driver().backing.give_physical(handle->offset, handle->bytes);
  }
  if (!handle->imported && !handle->multicast) {
    if (!handle->on_host) device.release(handle->bytes);
    device.uncount(Kind::vmm, handle->bytes);
  }
  state().handles.remove(handle);
  delete handle;
}

bool on_device(const CUmemLocation& location) {
  return location.type == CU_MEM_LOCATION_TYPE_DEVICE && valid_device(location.id);
}

bool on_host(const CUmemLocation& location) {
  return location.type == CU_MEM_LOCATION_TYPE_HOST || location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
         location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

/// Whether [address, address + size) lies inside one reservation.
bool reserved(std::uint64_t address, std::uint64_t size) {
  auto next = state().reservations.upper_bound(address);
  if (next == state().reservations.begin()) return false;
  --next;
  return address - next->first < next->second && size <= next->second - (address - next->first);
}

}  // namespace

namespace vramtrack::sim {

void release_mapping(Allocation& allocation) {
  driver().written.remove(allocation.base, allocation.base + allocation.span);
  Backing::unmap_at(allocation.base, allocation.span);
  --allocation.handle->mappings;
  remove_if_done(allocation.handle);
}

void append_handles(std::vector<vramtrack_sim_block>& blocks) {
  for (const Handle* handle : state().handles.all()) {
    if (handle->imported || handle->multicast) continue;
    blocks.push_back(
        {reinterpret_cast<std::uint64_t>(handle), handle->bytes, handle->serial, VRAMTRACK_SIM_VMM, handle->device});
  }
}

}  // namespace vramtrack::sim

extern "C" {

CUresult cuMemCreate(CUmemGenericAllocationHandle* out, size_t bytes, const CUmemAllocationProp* properties,
                     unsigned long long flags) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr || properties == nullptr || flags != 0 || bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  if (bytes % granularity != 0) return CUDA_ERROR_INVALID_VALUE;
  const bool host = on_host(properties->location);
  if (!host && !on_device(properties->location)) return CUDA_ERROR_INVALID_DEVICE;
  // Not forbidden in a stream capture: PyTorch grows its expandable segments in the middle of one.
  const int index = host ? 0 : properties->location.id;
  Device& device = device_at(index);
  if (!host && !charge_or_reclaim(device, bytes, &Device::charge)) return CUDA_ERROR_OUT_OF_MEMORY;
  auto* handle = new Handle;
  handle->device = index;
  handle->properties = *properties;
  handle->bytes = bytes;
  handle->on_host = host;
  handle->serial = entry->next_serial++;
  if (properties->requestedHandleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    char name[64];
    std::snprintf(name, sizeof name, "vramtrack-sim-memory:%d", device_at(index).ordinal());
    handle->fd = create_memory_file(name, bytes);
  } else {
    handle->offset = entry->backing.take_physical(bytes);
  }
  if (handle->fd < 0 && handle->offset == 0) {
    if (!host) device.release(bytes);
    delete handle;
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  device.count(Kind::vmm, bytes);
  *out = value_of(state().handles.add(handle));
  return CUDA_SUCCESS;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle value) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  Handle* handle = handle_of(value);
  if (handle == nullptr || handle->references == 0) return CUDA_ERROR_INVALID_VALUE;
  --handle->references;
  remove_if_done(handle);
  return CUDA_SUCCESS;
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* out, void* pointer) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Allocation* mapping = find_allocation(reinterpret_cast<std::uint64_t>(pointer));
  if (out == nullptr || mapping == nullptr || mapping->kind != Kind::vmm) return CUDA_ERROR_INVALID_VALUE;
  ++mapping->handle->references;
  *out = value_of(mapping->handle);
  return CUDA_SUCCESS;
}

CUresult cuMemAddressReserve(CUdeviceptr* out, size_t bytes, size_t alignment, CUdeviceptr hint,
                             unsigned long long flags) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr || bytes == 0 || bytes % granularity != 0 || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if ((alignment & (alignment - 1)) != 0) return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t start = Backing::reserve(bytes, alignment, hint);
  if (start == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  state().reservations[start] = bytes;
  *out = start;
  return CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr address, size_t bytes) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const auto found = state().reservations.find(address);
  if (found == state().reservations.end() || found->second != bytes) return CUDA_ERROR_INVALID_VALUE;
  const auto mapping = entry->allocations.lower_bound(address);
  if (mapping != entry->allocations.end() && mapping->first < address + bytes) return CUDA_ERROR_INVALID_VALUE;
  state().reservations.erase(found);
  Backing::unreserve(address, bytes);
  return CUDA_SUCCESS;
}

CUresult cuMemMap(CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle value,
                  unsigned long long flags) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  Handle* handle = handle_of(value);
  if (handle == nullptr || flags != 0 || bytes == 0 || bytes % granularity != 0) return CUDA_ERROR_INVALID_VALUE;
  if (address % granularity != 0 || offset % granularity != 0 || offset + bytes > handle->bytes) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (!reserved(address, bytes)) return CUDA_ERROR_INVALID_VALUE;
  const auto next = entry->allocations.lower_bound(address);
  if (find_allocation(address) != nullptr || (next != entry->allocations.end() && next->first < address + bytes)) {
    return CUDA_ERROR_ALREADY_MAPPED;
  }
  if (!entry->backing.map_at(address, bytes, handle->offset + offset, handle->fd)) {
    return CUDA_ERROR_OUT_OF_MEMORY;  // too many mappings for this process
  }
  Allocation mapping;
  mapping.base = address;
  mapping.bytes = mapping.span = bytes;
  mapping.kind = Kind::vmm;
  mapping.device = handle->device;
  mapping.handle = handle;
  mapping.offset = offset;
  mapping.identity = handle->serial;
  // The memory may have been written through another mapping, or by another process.
  if (handle->mapped_before || handle->imported) entry->written.add(address, address + bytes);
  handle->mapped_before = true;
  ++handle->mappings;
  record(mapping);
  return CUDA_SUCCESS;
}

CUresult cuMemUnmap(CUdeviceptr address, size_t bytes) {
  await_range(address, bytes);
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  // The range must consist of whole mappings.
  auto first = entry->allocations.find(address);
  std::uint64_t at = address;
  for (auto next = first; at < address + bytes; ++next) {
    if (next == entry->allocations.end() || next->first != at || next->second.kind != Kind::vmm) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    at += next->second.span;
  }
  if (at != address + bytes) return CUDA_ERROR_INVALID_VALUE;
  while (bytes > 0) {
    const auto current = entry->allocations.find(address);
    address += current->second.span;
    bytes -= current->second.span;
    release(current);
  }
  return CUDA_SUCCESS;
}

CUresult cuMemSetAccess(CUdeviceptr address, size_t bytes, const CUmemAccessDesc* descriptions, size_t count) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (descriptions == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
  for (std::uint64_t at = address; at < address + bytes;) {
    const Allocation* mapping = find_allocation(at);
    if (mapping == nullptr || mapping->kind != Kind::vmm) return CUDA_ERROR_INVALID_VALUE;
    at = mapping->base + mapping->span;
  }
  for (size_t i = 0; i < count; ++i) {
    if (!on_device(descriptions[i].location) && !on_host(descriptions[i].location)) return CUDA_ERROR_INVALID_DEVICE;
  }
  return CUDA_SUCCESS;
}

CUresult cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location, CUdeviceptr address) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (flags == nullptr || location == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (find_allocation(address) == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  return CUDA_SUCCESS;
}

CUresult cuMemGetAllocationGranularity(size_t* out, const CUmemAllocationProp* properties,
                                       CUmemAllocationGranularity_flags) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr || properties == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = granularity;
  return CUDA_SUCCESS;
}

CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* out, CUmemGenericAllocationHandle value) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Handle* handle = handle_of(value);
  if (out == nullptr || handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = handle->properties;
  return CUDA_SUCCESS;
}

CUresult cuMemExportToShareableHandle(void* out, CUmemGenericAllocationHandle value, CUmemAllocationHandleType type,
                                      unsigned long long flags) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Handle* handle = handle_of(value);
  if (out == nullptr || handle == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    return NOT_SIMULATED("cuMemExportToShareableHandle with a type other than a file descriptor");
  }
  if (handle->fd < 0) return CUDA_ERROR_INVALID_VALUE;
  const int fd = fcntl(handle->fd, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  *static_cast<int*>(out) = fd;
  return CUDA_SUCCESS;
}

CUresult cuMemImportFromShareableHandle(CUmemGenericAllocationHandle* out, void* os_handle,
                                        CUmemAllocationHandleType type) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) {
    return NOT_SIMULATED("cuMemImportFromShareableHandle with a type other than a file descriptor");
  }
  const int given = static_cast<int>(reinterpret_cast<std::intptr_t>(os_handle));
  struct stat facts, own;
  if (fstat(given, &facts) != 0 || facts.st_size == 0) return CUDA_ERROR_INVALID_VALUE;
  for (Handle* handle : state().handles.all()) {  // our own memory comes back as one more reference
    if (handle->fd >= 0 && fstat(handle->fd, &own) == 0 && own.st_ino == facts.st_ino && own.st_dev == facts.st_dev) {
      ++handle->references;
      *out = value_of(handle);
      return CUDA_SUCCESS;
    }
  }
  char path[64], name[128] = "";
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", given);
  const ssize_t length = readlink(path, name, sizeof name - 1);
  int ordinal = 0;
  if (length <= 0 || std::sscanf(name, "/memfd:vramtrack-sim-memory:%d", &ordinal) != 1 || index_of(ordinal) < 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const int fd = duplicate_descriptor(given);
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  const int device = index_of(ordinal);
  auto* handle = new Handle;
  handle->device = device;
  handle->properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  handle->properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  handle->properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  handle->bytes = static_cast<std::uint64_t>(facts.st_size);
  handle->fd = fd;
  handle->serial = entry->next_serial++;
  handle->imported = true;
  *out = value_of(state().handles.add(handle));
  return CUDA_SUCCESS;
}

CUresult cuMulticastCreate(CUmemGenericAllocationHandle* out, const CUmulticastObjectProp* properties) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr || properties == nullptr || properties->size == 0 || properties->size % granularity != 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  // Address space only, so that a copy does not fault.
  const std::uint64_t offset = entry->backing.take_physical(properties->size);
  if (offset == 0) return CUDA_ERROR_OUT_OF_MEMORY;
  auto* handle = new Handle;
  handle->bytes = properties->size;
  handle->multicast = true;
  handle->offset = offset;
  handle->serial = entry->next_serial++;
  *out = value_of(state().handles.add(handle));
  return CUDA_SUCCESS;
}
CUresult cuMulticastAddDevice(CUmemGenericAllocationHandle value, CUdevice device) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (!valid_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  const Handle* handle = handle_of(value);
  return handle != nullptr && handle->multicast ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMulticastBindMem(CUmemGenericAllocationHandle multicast, size_t, CUmemGenericAllocationHandle memory, size_t,
                            size_t, unsigned long long) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Handle* handle = handle_of(multicast);
  return handle != nullptr && handle->multicast && handle_of(memory) != nullptr ? CUDA_SUCCESS
                                                                                : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMulticastBindAddr(CUmemGenericAllocationHandle multicast, size_t, CUdeviceptr address, size_t,
                             unsigned long long) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Handle* handle = handle_of(multicast);
  return handle != nullptr && handle->multicast && find_allocation(address) != nullptr ? CUDA_SUCCESS
                                                                                       : CUDA_ERROR_INVALID_VALUE;
}
CUresult cuMulticastUnbind(CUmemGenericAllocationHandle value, CUdevice device, size_t, size_t) {
  return cuMulticastAddDevice(value, device);
}
CUresult cuMulticastGetGranularity(size_t* out, const CUmulticastObjectProp*, CUmulticastGranularity_flags) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *out = granularity;
  return CUDA_SUCCESS;
}
}
