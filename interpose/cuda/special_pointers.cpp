// Device pointers whose free needs a look at what they are, pools, and graph nodes. See special.hpp.
#include "interpose/core/lock.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/address_map.hpp"
#include "interpose/cuda/elf.hpp"
#include "interpose/cuda/framework_pool.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/cuda/special.hpp"
#include "interpose/recorder/recorder.hpp"

namespace vramtrack::hooks {

namespace {

SpinLock g_lock;
AddressMap<std::uint32_t> g_imports;         // pointer of another process's memory -> times opened
AddressMap<std::int16_t> g_pools;            // pool made by this process -> its device
AddressMap<std::uint8_t> g_foreign_mipmaps;  // mipmapped arrays in imported memory: not ours, but freed like ours

/// Takes one opening off; true while others remain.
bool still_open(std::uint64_t pointer) noexcept {
  const LockGuard guard(g_lock);
  std::uint32_t* openings = g_imports.find(pointer);
  if (openings == nullptr) return false;
  if (*openings > 1) {
    --*openings;
    return true;
  }
  g_imports.erase(pointer);
  return false;
}

/// Adds one opening; true for the first.
bool opened(std::uint64_t pointer) noexcept {
  const LockGuard guard(g_lock);
  if (std::uint32_t* openings = g_imports.find(pointer)) {
    ++*openings;
    return false;
  }
  g_imports.insert(pointer, 1);
  return true;
}

bool is_import(std::uint64_t pointer) noexcept {
  const LockGuard guard(g_lock);
  return g_imports.find(pointer) != nullptr;
}

Bytes bytes_at(std::uint64_t pointer) noexcept {
  auto* range = VRAMTRACK_DRIVER(cuMemGetAddressRange_v2);
  CUdeviceptr base = 0;
  std::size_t bytes = 0;
  return range != nullptr && range(&base, &bytes, pointer) == CUDA_SUCCESS ? bytes : 0;
}

}  // namespace

int Special::free_pointer(std::uint64_t pointer) const noexcept {
  const HookScope scope;
  if (!scope.outermost() && pointer != 0) count_in_handler(call_, scope);
  if (!scope.outermost() || pointer == 0 || !tracing()) return call_.real();
  const bool imported = is_import(pointer);
  if (imported && still_open(pointer)) {
    const int result = call_.real();
    if (result != success) opened(pointer);
    return result;
  }
  const contexts::Owned owned = contexts::disown(pointer, Kind::device);
  const ledger::Removed removed = record_free({Layer::cuda, host_device, Kind::device, pointer, 0});
  const ledger::Removed tensor = framework_pool.free(removed, call_.start.ip);
  const int result = call_.real();
  if (result != success) {
    const SavedErrno keep;
    take_back(removed);
    framework_pool.take_back(tensor);
    contexts::restore(pointer, owned);
    if (imported) opened(pointer);
  }
  return result;
}

int Special::import_pointer_at(FunctionRef<std::uint64_t> out) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result != success || !scope.outermost() || !recording()) return result;
  const SavedErrno keep;
  const std::uint64_t pointer = out();
  if (pointer != 0 && opened(pointer))
    record_success(call_, {pointer, bytes_at(pointer), Kind::ipc, 0}, device_for(Kind::ipc));
  return result;
}

Kind Special::stream_kind(std::uint64_t stream) const noexcept {
  if (inside_hook()) return Kind::pool;
  const SavedErrno keep;
  return capturing(stream) ? Kind::graph : Kind::pool;
}

int Special::stream_alloc_from(Facts facts) const noexcept {
  return called_by_torch(call_.start.ip) ? framework_pool.alloc(call_, facts) : alloc(call_, facts);
}

int Special::pool_alloc_from(std::uint64_t pool, Facts facts) const noexcept {
  bool known = false;
  std::int16_t device = host_device;
  {
    const LockGuard guard(g_lock);
    if (const std::int16_t* found = g_pools.find(pool)) {
      known = true;
      device = *found;
    }
  }
  return known ? alloc_on(call_, facts, device) : alloc(call_, facts);
}

int Special::pool_created(FunctionRef<std::uint64_t> out, std::int16_t device) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success) {
    const LockGuard guard(g_lock);
    g_pools.insert(out(), device);
  }
  return result;
}

// Blocks of a destroyed pool live until they are freed: only the pool's device is forgotten.
int Special::pool_destroy(std::uint64_t pool) const noexcept {
  const HookScope scope;
  {
    const LockGuard guard(g_lock);
    g_pools.erase(pool);
  }
  return call_.real();
}

int Special::foreign_mipmap_at(FunctionRef<std::uint64_t> out) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success) {
    const LockGuard guard(g_lock);
    g_foreign_mipmaps.insert(out(), 1);
  }
  return result;
}

int Special::free_mipmap(std::uint64_t array) const noexcept {
  bool foreign = false;
  {
    const LockGuard guard(g_lock);
    foreign = g_foreign_mipmaps.erase(array);
  }
  if (!foreign) return free(call_, array, Kind::array);
  const HookScope scope;
  const int result = call_.real();
  if (result != success) {
    const LockGuard guard(g_lock);
    g_foreign_mipmaps.insert(array, 1);
  }
  return result;
}

int Special::graph_add_node_any(void* fifth, void* sixth) const noexcept {
  const std::string_view library = soname_of(module_of(call_.function));
  void* params = library == "libcudart.so.12" ? fifth : library == "libcudart.so.13" ? sixth : nullptr;
  return graph_add_node(static_cast<cudaGraphNodeParams*>(params));
}

void reset_pointers() noexcept {
  g_lock.reset();
  g_imports.forget();
  g_pools.forget();
  g_foreign_mipmaps.forget();
}

}  // namespace vramtrack::hooks
