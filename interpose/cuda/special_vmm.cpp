// Virtual memory management: a physical allocation (cuMemCreate) lives until its last reference is released and its
// last mapping is gone. It is one block of kind vmm, keyed by its handle. Imported handles are memory of another
// process: one block of kind ipc for each mapping. Multicast objects hold no memory of their own. See special.hpp.
//
// All bookkeeping is done before the real release or unmap and undone when that fails: once the driver has let go of a
// handle, another thread may be given the same value.
#include "interpose/core/lock.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/address_map.hpp"
#include "interpose/cuda/special.hpp"
#include "interpose/recorder/recorder.hpp"

namespace vramtrack::hooks {

namespace {

enum class Origin : std::uint8_t { created, imported, multicast };

struct Physical {
  std::uint32_t references;
  std::uint32_t mappings;
  Origin origin;
};

struct Mapping {
  std::uint64_t handle;
  Bytes bytes;
};

SpinLock g_lock;
AddressMap<Physical> g_handles;
AddressMap<Mapping> g_mappings;

void know(std::uint64_t handle, Origin origin) noexcept {
  const LockGuard guard(g_lock);
  if (Physical* known = g_handles.find(handle); known != nullptr && origin == Origin::imported) {
    ++known->references;  // this process's own export came back
    return;
  }
  g_handles.insert(handle, {1, 0, origin});
}

struct Dropped {
  bool known = false;
  bool last = false;
  Physical was{};
};

/// Takes one reference or mapping off a handle. g_lock is held.
Dropped drop(std::uint64_t handle, std::uint32_t Physical::*counter) noexcept {
  Physical* physical = g_handles.find(handle);
  if (physical == nullptr || physical->*counter == 0) return {};
  Dropped dropped{true, false, *physical};
  --(physical->*counter);
  if (physical->references == 0 && physical->mappings == 0) {
    dropped.last = true;
    g_handles.erase(handle);
  }
  return dropped;
}

void undrop(std::uint64_t handle, const Dropped& dropped, std::uint32_t Physical::*counter) noexcept {
  if (!dropped.known) return;
  const LockGuard guard(g_lock);
  if (Physical* physical = g_handles.find(handle))
    ++(physical->*counter);
  else
    g_handles.insert(handle, dropped.was);
}

ledger::Removed forget_block(std::uint64_t handle, const Dropped& dropped) noexcept {
  if (!dropped.last || dropped.was.origin != Origin::created) return {};
  return tracing() ? record_free({Layer::cuda, host_device, Kind::vmm, handle, 0}) : ledger::Removed{};
}

}  // namespace

int Special::vmm_create(CUmemGenericAllocationHandle* handle, Bytes bytes,
                        const CUmemAllocationProp* prop) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (!scope.outermost() || (result != success && result != out_of_memory)) return result;
  const SavedErrno keep;
  // A thread without a context may create memory (the location names the device), so the driver is not asked.
  const std::int16_t device = location_device(prop->location.type, prop->location.id);
  if (result == out_of_memory) {
    record_refusal(call_, {0, bytes, Kind::vmm, 0}, device);
  } else if (recording()) {
    know(*handle, Origin::created);
    record_success(call_, {*handle, bytes, Kind::vmm, 0}, device);
  }
  return result;
}

int Special::vmm_import(CUmemGenericAllocationHandle* handle) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success && scope.outermost() && handle != nullptr) know(*handle, Origin::imported);
  return result;
}

int Special::vmm_multicast(CUmemGenericAllocationHandle* handle) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success && scope.outermost() && handle != nullptr) know(*handle, Origin::multicast);
  return result;
}

int Special::vmm_retain(CUmemGenericAllocationHandle* handle) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success && scope.outermost() && handle != nullptr) {
    const LockGuard guard(g_lock);
    if (Physical* physical = g_handles.find(*handle)) ++physical->references;
  }
  return result;
}

int Special::vmm_release(CUmemGenericAllocationHandle handle) const noexcept {
  const HookScope scope;
  if (!scope.outermost()) return call_.real();
  Dropped dropped;
  {
    const LockGuard guard(g_lock);
    dropped = drop(handle, &Physical::references);
  }
  const ledger::Removed removed = forget_block(handle, dropped);
  const int result = call_.real();
  if (result != success) {
    const SavedErrno keep;
    undrop(handle, dropped, &Physical::references);
    if (removed.found) ledger::restore(removed);
  }
  return result;
}

int Special::vmm_map(std::uint64_t pointer, Bytes bytes, CUmemGenericAllocationHandle handle) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result != success || !scope.outermost()) return result;
  const SavedErrno keep;
  Origin origin;
  {
    const LockGuard guard(g_lock);
    Physical* physical = g_handles.find(handle);
    if (physical == nullptr) return result;  // made before we were loaded
    ++physical->mappings;
    origin = physical->origin;
    g_mappings.insert(pointer, {handle, bytes});
  }
  if (origin == Origin::imported) record_success(call_, {pointer, bytes, Kind::ipc, 0}, device_for(Kind::ipc));
  if (origin == Origin::created && tracing()) ledger::set_mapping(handle, pointer);
  return result;
}

int Special::vmm_unmap(std::uint64_t pointer, Bytes bytes) const noexcept {
  const HookScope scope;
  if (!scope.outermost()) return call_.real();
  struct Undo {
    std::uint64_t pointer;
    Mapping mapping;
    Dropped dropped;
    ledger::Removed block;
  };
  constexpr int most = 32;  // one unmap rarely covers more than one mapping; beyond this a failed unmap is not undone
  Undo undo[most];
  int taken = 0;
  for (std::uint64_t at = pointer; at < pointer + bytes;) {
    Undo step{at, {}, {}, {}};
    {
      const LockGuard guard(g_lock);
      const Mapping* mapping = g_mappings.find(at);
      if (mapping == nullptr) break;
      step.mapping = *mapping;
      g_mappings.erase(at);
      step.dropped = drop(step.mapping.handle, &Physical::mappings);
    }
    if (step.dropped.was.origin == Origin::imported && tracing())
      step.block = record_free({Layer::cuda, host_device, Kind::ipc, at, 0});
    else if (step.block = forget_block(step.mapping.handle, step.dropped); !step.block.found && tracing())
      ledger::set_mapping(step.mapping.handle, 0);
    at += step.mapping.bytes == 0 ? 1 : step.mapping.bytes;
    if (taken < most) undo[taken++] = step;
  }
  const int result = call_.real();
  if (result == success) return result;
  const SavedErrno keep;
  while (taken-- > 0) {
    const Undo& step = undo[taken];
    undrop(step.mapping.handle, step.dropped, &Physical::mappings);
    if (step.block.found) ledger::restore(step.block);
    if (tracing()) ledger::set_mapping(step.mapping.handle, step.pointer);
    const LockGuard guard(g_lock);
    g_mappings.insert(step.pointer, step.mapping);
  }
  return result;
}

void reset_vmm() noexcept {
  g_lock.reset();
  g_handles.forget();
  g_mappings.forget();
}

}  // namespace vramtrack::hooks
