// See contexts.hpp for the ownership rule and special.hpp for the policies.
#include "interpose/hooks/contexts.hpp"

#include "interpose/hooks/address_map.hpp"
#include "interpose/hooks/originals.hpp"
#include "interpose/hooks/special.hpp"
#include "interpose/recorder.hpp"
#include "interpose/support/lock.hpp"
#include "interpose/support/saved_errno.hpp"

namespace vramtrack::hooks {

namespace {

SpinLock g_lock;
AddressMap<contexts::Owned> g_owned;
AddressMap<std::uint32_t> g_created;  // contexts made by cuCtxCreate (not primary) -> references

/// Takes every block for which `dies` holds out of the ledger, one by one: the ledger is never called under g_lock.
template <class Dies>
void sweep(Dies dies) noexcept {
  const SavedErrno keep;
  std::size_t cursor = 0;
  for (;;) {
    contexts::Owned owned;
    std::uint64_t key = 0;
    {
      const LockGuard guard(g_lock);
      key = g_owned.next(cursor, [&](std::uint64_t, const contexts::Owned& entry) { return dies(entry); });
      if (key == 0) return;
      owned = *g_owned.find(key);
      g_owned.erase(key);
      cursor = cursor == 0 ? 0 : cursor - 1;  // erasing may have moved a later entry into this place
    }
    if (tracing()) record_free({Layer::cuda, owned.device, owned.kind, key, 0});
  }
}

void sweep_context(std::uint64_t context) noexcept {
  sweep([=](const contexts::Owned& owned) { return owned.context == context; });
}

/// The primary context of a device: every context there that cuCtxCreate did not make. Pinned host memory has no
/// device; it belongs to the primary context when its context was seen owning this device's memory.
void sweep_primary(std::int16_t device, std::uint64_t primary) noexcept {
  sweep([=](const contexts::Owned& owned) {
    if (g_created.find(owned.context) != nullptr) return false;
    return owned.device == device || (primary != 0 && owned.context == primary);
  });
}

std::int16_t current_device() noexcept {
  int device = -1;
  auto* get = VRAMTRACK_DRIVER(cuCtxGetDevice);
  return get != nullptr && get(&device) == CUDA_SUCCESS ? static_cast<std::int16_t>(device) : std::int16_t{-1};
}

/// The primary context's handle, if one is known from what it owns.
std::uint64_t primary_of(std::int16_t device) noexcept {
  const LockGuard guard(g_lock);
  std::size_t cursor = 0;
  const std::uint64_t key = g_owned.next(cursor, [&](std::uint64_t, const contexts::Owned& owned) {
    return owned.device == device && owned.context != 0 && g_created.find(owned.context) == nullptr;
  });
  return key == 0 ? 0 : g_owned.find(key)->context;
}

bool primary_active(int device) noexcept {
  auto* state = VRAMTRACK_DRIVER(cuDevicePrimaryCtxGetState);
  unsigned flags = 0;
  int active = 1;
  return state == nullptr || state(device, &flags, &active) != CUDA_SUCCESS || active != 0;
}

}  // namespace

namespace contexts {

std::uint64_t current() noexcept {
  auto* get = VRAMTRACK_DRIVER(cuCtxGetCurrent);
  CUcontext context = nullptr;
  return get != nullptr && get(&context) == CUDA_SUCCESS ? reinterpret_cast<std::uint64_t>(context) : 0;
}

void own(std::uint64_t address, Kind kind, std::int16_t device) noexcept {
  const Owned owned{current(), device, kind};
  const LockGuard guard(g_lock);
  g_owned.insert(address, owned);
}

Owned disown(std::uint64_t address, Kind) noexcept {
  const LockGuard guard(g_lock);
  const Owned* found = g_owned.find(address);
  if (found == nullptr) return {};
  const Owned owned = *found;
  g_owned.erase(address);
  return owned;
}

void restore(std::uint64_t address, const Owned& owned) noexcept {
  if (owned.context == 0 && owned.device < 0) return;
  const LockGuard guard(g_lock);
  g_owned.insert(address, owned);
}

void reset() noexcept {
  g_lock.reset();
  g_owned.forget();
  g_created.forget();
}

}  // namespace contexts

int Special::context_create(CUcontext* out) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success && out != nullptr) {
    const LockGuard guard(g_lock);
    g_created.insert(address(*out), 1);
  }
  return result;
}

int Special::context_attach(CUcontext* out) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success && out != nullptr) {
    const LockGuard guard(g_lock);
    if (std::uint32_t* references = g_created.find(address(*out))) ++*references;
  }
  return result;
}

int Special::context_destroy(std::uint64_t context) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success && scope.outermost()) {
    sweep_context(context);
    const LockGuard guard(g_lock);
    g_created.erase(context);
  }
  return result;
}

int Special::context_detach(std::uint64_t context) const noexcept {
  bool last = false;
  {
    const LockGuard guard(g_lock);
    std::uint32_t* references = g_created.find(context);
    last = references == nullptr || *references <= 1;
    if (!last) --*references;
  }
  if (last) return context_destroy(context);
  const HookScope scope;
  return call_.real();
}

int Special::device_reset() const noexcept {
  const HookScope scope;
  const std::int16_t device = device_for(Kind::device);
  const std::uint64_t primary = primary_of(device);
  const int result = call_.real();
  if (result == success && scope.outermost()) sweep_primary(device, primary);
  return result;
}

int Special::primary_reset(int device) const noexcept {
  const HookScope scope;
  const std::uint64_t primary = primary_of(static_cast<std::int16_t>(device));
  const int result = call_.real();
  if (result == success && scope.outermost()) sweep_primary(static_cast<std::int16_t>(device), primary);
  return result;
}

// Only the last release destroys the context: the driver is asked afterwards whether it still is active.
int Special::primary_release(int device) const noexcept {
  const HookScope scope;
  const std::uint64_t primary = primary_of(static_cast<std::int16_t>(device));
  const int result = call_.real();
  if (result == success && scope.outermost() && !primary_active(device))
    sweep_primary(static_cast<std::int16_t>(device), primary);
  return result;
}

// A green context holds a reference on its device's primary context.
int Special::green_destroy() const noexcept {
  const HookScope scope;
  const std::int16_t device = current_device();
  const std::uint64_t primary = device < 0 ? 0 : primary_of(device);
  const int result = call_.real();
  if (result == success && scope.outermost() && device >= 0 && !primary_active(device)) sweep_primary(device, primary);
  return result;
}

}  // namespace vramtrack::hooks
