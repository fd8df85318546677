// Memory of other processes: IPC handles, exported pools and pointers, external memory. What is opened here is mapped,
// never charged: its owner is charged.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "sim/driver/capture.hpp"
#include "sim/driver/pools.hpp"
#include "sim/driver/state.hpp"

using namespace vramtrack::sim;

namespace {

/// What an IPC handle or an exported pool pointer says (both are 64 opaque bytes).
struct Ticket {
  static constexpr std::uint64_t expected_magic = 0x63706953554d4954ull;
  std::uint64_t magic = expected_magic;
  std::int32_t pid = 0;
  std::int32_t fd = -1;
  std::uint64_t offset = 0;  // in that process's memory file
  std::uint64_t bytes = 0;
  std::uint64_t span = 0;
  std::uint64_t serial = 0;
  std::int32_t ordinal = 0;  // of the device
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Ticket) <= sizeof(CUipcMemHandle) && sizeof(Ticket) <= sizeof(CUmemPoolPtrExportData));

Ticket make_ticket(const Allocation& allocation) {
  Ticket ticket;
  ticket.pid = getpid();
  ticket.fd = driver().backing.fd();
  ticket.offset = driver().backing.offset_of(allocation.device, allocation.base);
  ticket.bytes = allocation.bytes;
  ticket.span = allocation.span;
  ticket.serial = allocation.serial;
  ticket.ordinal = device_at(allocation.device).ordinal();
  // The other process may write it at any time.
  driver().written.add(allocation.base, allocation.base + allocation.span);
  return ticket;
}

struct Opened {
  CUdeviceptr address = 0;
  int references = 0;
};
std::map<std::pair<int, std::uint64_t>, Opened>& opened() {
  static auto& all = *new std::map<std::pair<int, std::uint64_t>, Opened>;
  return all;
}

/// Maps what a ticket names and enters it as `kind`. 0 when its process is gone.
CUdeviceptr map_ticket(const Ticket& ticket, Context& context, Kind kind, Pool* pool) {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/fd/%d", ticket.pid, ticket.fd);
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return 0;
  const std::uint64_t page = system_page();
  const std::uint64_t inside = ticket.offset % page;
  const std::uint64_t length = round_up(ticket.span + inside, page);
  void* const mapped =
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(ticket.offset - inside));
  close(fd);
  if (mapped == MAP_FAILED) return 0;
  Allocation allocation;
  allocation.base = reinterpret_cast<std::uint64_t>(mapped) + inside;
  allocation.bytes = ticket.bytes;
  allocation.span = ticket.span;
  allocation.kind = kind;
  allocation.device = index_of(ticket.ordinal);
  allocation.context = &context;
  allocation.pool = pool;
  allocation.offset = inside;
  return record(allocation).base;
}

CUresult open_ipc(CUdeviceptr* out, const CUipcMemHandle& handle) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  Ticket ticket;
  std::memcpy(static_cast<void*>(&ticket), &handle, sizeof ticket);
  if (out == nullptr || ticket.magic != Ticket::expected_magic || index_of(ticket.ordinal) < 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  Opened& known = opened()[{ticket.pid, ticket.serial}];
  if (known.references == 0) {
    known.address = map_ticket(ticket, entry.context(), Kind::ipc, nullptr);
    if (known.address == 0) {
      opened().erase({ticket.pid, ticket.serial});
      return CUDA_ERROR_MAP_FAILED;
    }
  }
  ++known.references;
  *out = known.address;
  return CUDA_SUCCESS;
}

struct External {
  int fd = -1;
  std::uint64_t bytes = 0;
};
Live<External>& externals() {
  static auto& all = *new Live<External>;
  return all;
}

}  // namespace

namespace vramtrack::sim {

void release_opened(const Allocation& allocation) {
  munmap(reinterpret_cast<void*>(allocation.base - allocation.offset),
         round_up(allocation.span + allocation.offset, system_page()));
  std::erase_if(opened(), [&](const auto& one) { return one.second.address == allocation.base; });
}

}  // namespace vramtrack::sim

extern "C" {

CUresult cuIpcGetMemHandle(CUipcMemHandle* out, CUdeviceptr address) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const Allocation* allocation = find_allocation(address);
  if (out == nullptr || allocation == nullptr || allocation->kind != Kind::device) return CUDA_ERROR_INVALID_VALUE;
  const Ticket ticket = make_ticket(*allocation);
  std::memset(out, 0, sizeof *out);
  std::memcpy(out, &ticket, sizeof ticket);
  return CUDA_SUCCESS;
}
CUresult cuIpcOpenMemHandle_v2(CUdeviceptr* out, CUipcMemHandle handle, unsigned) { return open_ipc(out, handle); }
CUresult cuIpcOpenMemHandle(CUdeviceptr* out, CUipcMemHandle handle, unsigned) { return open_ipc(out, handle); }

CUresult cuIpcCloseMemHandle(CUdeviceptr address) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const auto found = entry->allocations.find(address);
  if (found == entry->allocations.end() || found->second.kind != Kind::ipc || found->second.pool != nullptr) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (auto& [key, known] : opened()) {
    if (known.address == address && --known.references > 0) return CUDA_SUCCESS;
  }
  release(found);
  return CUDA_SUCCESS;
}

// Work is done when a call returns, so an event of another process has always happened.
CUresult cuIpcGetEventHandle(CUipcEventHandle* out, CUevent event) {
  if (out == nullptr || event == nullptr) return CUDA_ERROR_INVALID_VALUE;
  std::memset(out, 0, sizeof *out);
  return Entry(Needs::context).status();
}
CUresult cuIpcOpenEventHandle(CUevent* out, CUipcEventHandle) {
  return cuEventCreate(out, CU_EVENT_DISABLE_TIMING | CU_EVENT_INTERPROCESS);
}

CUresult cuMemPoolExportToShareableHandle(void* out, CUmemoryPool handle, CUmemAllocationHandleType type,
                                          unsigned long long) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Pool* pool = pool_of(handle);
  if (out == nullptr || pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return NOT_SIMULATED("pools shared without a file descriptor");
  if ((pool->properties.handleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) == 0) return CUDA_ERROR_INVALID_VALUE;
  char name[64];
  std::snprintf(name, sizeof name, "vramtrack-sim-pool:%d", device_at(pool->device).ordinal());
  const int fd = create_memory_file(name, system_page());
  if (fd < 0) return CUDA_ERROR_OPERATING_SYSTEM;
  *static_cast<int*>(out) = fd;
  return CUDA_SUCCESS;
}
CUresult cuMemPoolImportFromShareableHandle(CUmemoryPool* out, void* os_handle, CUmemAllocationHandleType type,
                                            unsigned long long) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) return NOT_SIMULATED("pools shared without a file descriptor");
  char path[64], name[128] = "";
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", static_cast<int>(reinterpret_cast<std::intptr_t>(os_handle)));
  int ordinal = 0;
  if (readlink(path, name, sizeof name - 1) <= 0 || std::sscanf(name, "/memfd:vramtrack-sim-pool:%d", &ordinal) != 1 ||
      index_of(ordinal) < 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  const int device = index_of(ordinal);
  auto* pool = new Pool;
  pool->device = device;
  pool->imported = true;
  pool->properties.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  pool->properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device};
  *out = reinterpret_cast<CUmemoryPool>(pools().add(pool));
  return CUDA_SUCCESS;
}
CUresult cuMemPoolExportPointer(CUmemPoolPtrExportData* out, CUdeviceptr address) {
  Entry entry(Needs::driver);
  if (!entry) return entry.status();
  const Allocation* allocation = find_allocation(address);
  if (out == nullptr || allocation == nullptr || allocation->kind != Kind::pool) return CUDA_ERROR_INVALID_VALUE;
  const Ticket ticket = make_ticket(*allocation);
  std::memset(out, 0, sizeof *out);
  std::memcpy(out, &ticket, sizeof ticket);
  return CUDA_SUCCESS;
}
CUresult cuMemPoolImportPointer(CUdeviceptr* out, CUmemoryPool handle, CUmemPoolPtrExportData* data) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  Pool* pool = pool_of(handle);
  if (out == nullptr || data == nullptr || pool == nullptr || !pool->imported) return CUDA_ERROR_INVALID_VALUE;
  Ticket ticket;
  std::memcpy(static_cast<void*>(&ticket), data, sizeof ticket);
  if (ticket.magic != Ticket::expected_magic || index_of(ticket.ordinal) < 0) return CUDA_ERROR_INVALID_VALUE;
  *out = map_ticket(ticket, entry.context(), Kind::ipc, pool);
  return *out != 0 ? CUDA_SUCCESS : CUDA_ERROR_MAP_FAILED;
}

CUresult cuImportExternalMemory(CUexternalMemory* out, const CUDA_EXTERNAL_MEMORY_HANDLE_DESC* description) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  if (out == nullptr || description == nullptr || description->size == 0) return CUDA_ERROR_INVALID_VALUE;
  if (description->type != CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD) {
    return NOT_SIMULATED("external memory other than a file descriptor");
  }
  if (fcntl(description->handle.fd, F_GETFD) < 0) return CUDA_ERROR_INVALID_VALUE;
  auto* external = new External;
  external->fd = description->handle.fd;  // importing takes the descriptor over
  external->bytes = description->size;
  *out = reinterpret_cast<CUexternalMemory>(externals().add(external));
  return CUDA_SUCCESS;
}

CUresult cuExternalMemoryGetMappedBuffer(CUdeviceptr* out, CUexternalMemory handle,
                                         const CUDA_EXTERNAL_MEMORY_BUFFER_DESC* description) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  const auto* external = reinterpret_cast<External*>(handle);
  if (out == nullptr || description == nullptr || !externals().has(external)) return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t offset = description->offset, bytes = description->size;
  if (bytes == 0 || offset > external->bytes || bytes > external->bytes - offset) return CUDA_ERROR_INVALID_VALUE;
  const std::uint64_t page = system_page(), inside = offset % page, length = round_up(bytes + inside, page);
  // A file too short for the buffer would fault when copied to; such memory is then the process's own.
  struct stat facts {};
  const bool mappable = fstat(external->fd, &facts) == 0 && static_cast<std::uint64_t>(facts.st_size) >= offset + bytes;
  void* const mapped =
      mappable
          ? mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, external->fd, static_cast<off_t>(offset - inside))
          : mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return CUDA_ERROR_MAP_FAILED;
  Allocation allocation;
  allocation.base = reinterpret_cast<std::uint64_t>(mapped) + inside;
  allocation.bytes = allocation.span = bytes;
  allocation.kind = Kind::external;
  allocation.device = entry.context().device;
  allocation.context = &entry.context();
  allocation.offset = inside;
  *out = record(allocation).base;
  return CUDA_SUCCESS;
}

CUresult cuDestroyExternalMemory(CUexternalMemory handle) {
  Entry entry(Needs::context);
  if (!entry) return entry.status();
  auto* external = reinterpret_cast<External*>(handle);
  if (!externals().remove(external)) return CUDA_ERROR_INVALID_HANDLE;
  close(external->fd);
  delete external;
  return CUDA_SUCCESS;
}
}
