// See contexts.hpp for the ownership rule and special.hpp for the policies.
#include "interpose/cuda/contexts.hpp"

#include <atomic>

#include "interpose/core/lock.hpp"
#include "interpose/core/saved_errno.hpp"
#include "interpose/cuda/address_map.hpp"
#include "interpose/cuda/originals.hpp"
#include "interpose/cuda/special.hpp"
#include "interpose/recorder/recorder.hpp"

namespace vramtrack::hooks {

namespace {

SpinLock g_lock;
AddressMap<contexts::Owned> g_owned;

struct Created {
  std::uint32_t references = 0;
  std::int16_t device = -1;
};
AddressMap<Created> g_created;  // contexts made by cuCtxCreate (not primary)

constexpr int most_devices = 64;
std::atomic<std::uint64_t> g_primaries{0};  // devices, a bit each, whose primary context was recorded and lives

std::atomic<std::uint32_t> g_deaths{0};
std::atomic<std::uint32_t> g_dying{0};

/// Alive around a call that kills a context, and the sweep after it.
class Death {
 public:
  Death() noexcept {
    g_dying.fetch_add(1);
    begin_ = g_deaths.fetch_add(1);
  }
  ~Death() {
    g_deaths.fetch_add(1);
    g_dying.fetch_sub(1);
  }
  Death(const Death&) = delete;
  Death& operator=(const Death&) = delete;
  /// Whether the block's call began before this one. Of the others it is their own thread that asks the driver.
  bool reaches(const contexts::Owned& owned) const noexcept {
    return static_cast<std::int32_t>(begin_ - owned.born) >= 0;
  }

 private:
  std::uint32_t begin_;
};

/// Takes every block for which `dies` holds out of the ledger, one by one: the ledger is never called under g_lock.
template <class Dies>
void sweep(const Death& death, Dies dies) noexcept {
  const SavedErrno keep;
  std::size_t cursor = 0;
  for (;;) {
    contexts::Owned owned;
    std::uint64_t key = 0;
    {
      const LockGuard guard(g_lock);
      key = g_owned.next(
          cursor, [&](std::uint64_t, const contexts::Owned& entry) { return death.reaches(entry) && dies(entry); });
      if (key == 0) return;
      owned = *g_owned.find(key);
      g_owned.erase(key);
      cursor = cursor == 0 ? 0 : cursor - 1;  // erasing may have moved a later entry into this place
    }
    if (!tracing()) continue;
    const ledger::Removed removed = record_free({Layer::cuda, owned.device, owned.kind, key, 0});
    if (!removed.found) take_back(removed);  // its thread is just recording it, and will ask the driver
  }
}

void sweep_context(const Death& death, std::uint64_t context) noexcept {
  sweep(death, [=](const contexts::Owned& owned) { return owned.context == context; });
}

/// The primary context of a device: every context there that cuCtxCreate did not make. Pinned host memory has no
/// device; it belongs to the primary context when its context was seen owning this device's memory.
void sweep_primary(const Death& death, std::int16_t device, std::uint64_t primary) noexcept {
  sweep(death, [=](const contexts::Owned& owned) {
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

void note_primary_end(int device) noexcept {
  if (device < 0 || device >= most_devices) return;
  const std::uint64_t bit = std::uint64_t{1} << device;
  if ((g_primaries.fetch_and(~bit) & bit) != 0) record_context_gone(static_cast<std::int16_t>(device), 0);
}

/// After a reset: a context that somebody has retained is only emptied, so the driver is asked.
void note_reset(int device) noexcept {
  const SavedErrno keep;
  if (!primary_active(device)) note_primary_end(device);
}

}  // namespace

namespace contexts {

std::uint64_t current() noexcept {
  auto* get = VRAMTRACK_DRIVER(cuCtxGetCurrent);
  CUcontext context = nullptr;
  return get != nullptr && get(&context) == CUDA_SUCCESS ? reinterpret_cast<std::uint64_t>(context) : 0;
}

std::uint32_t deaths() noexcept { return g_deaths.load(std::memory_order_acquire); }

bool died_since(std::uint32_t then) noexcept {
  return g_deaths.load(std::memory_order_acquire) != then || g_dying.load(std::memory_order_acquire) != 0;
}

bool alive(std::uint64_t address, Kind kind) noexcept {
  if (kind == Kind::host_pinned || kind == Kind::registered) {
    auto* get = VRAMTRACK_DRIVER(cuMemHostGetFlags);
    unsigned flags = 0;
    return get == nullptr || get(&flags, reinterpret_cast<void*>(address)) == CUDA_SUCCESS;
  }
  if (kind == Kind::array) return true;  // there is no way to ask
  auto* get = VRAMTRACK_DRIVER(cuMemGetAddressRange_v2);
  CUdeviceptr base = 0;
  std::size_t bytes = 0;
  return get == nullptr || get(&base, &bytes, address) == CUDA_SUCCESS;
}

void own(std::uint64_t address, Kind kind, std::int16_t device, std::uint32_t deaths) noexcept {
  const Owned owned{current(), device, kind, deaths};
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
  g_primaries.store(0, std::memory_order_relaxed);
}

}  // namespace contexts

int Special::context_create(CUcontext* out, int device) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success && out != nullptr) {
    const Created created{1, static_cast<std::int16_t>(device)};
    {
      const LockGuard guard(g_lock);
      g_created.insert(address(*out), created);
    }
    record_context(created.device, address(*out), call_.start);
  }
  return result;
}

int Special::context_attach(CUcontext* out) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result == success && out != nullptr) {
    const LockGuard guard(g_lock);
    if (Created* created = g_created.find(address(*out))) ++created->references;
  }
  return result;
}

int Special::context_destroy(std::uint64_t context) const noexcept {
  const HookScope scope;
  const Death death;
  const int result = call_.real();
  if (result == success && scope.outermost()) {
    sweep_context(death, context);
    Created gone;
    {
      const LockGuard guard(g_lock);
      if (const Created* created = g_created.find(context)) gone = *created;
      g_created.erase(context);
    }
    if (gone.references != 0) record_context_gone(gone.device, context);
  }
  return result;
}

int Special::context_detach(std::uint64_t context) const noexcept {
  bool last = false;
  {
    const LockGuard guard(g_lock);
    Created* created = g_created.find(context);
    last = created == nullptr || created->references <= 1;
    if (!last) --created->references;
  }
  if (last) return context_destroy(context);
  const HookScope scope;
  return call_.real();
}

// The runtime retains it within the first call that needs it, so this is mostly not the outermost hook.
int Special::primary_retain(int device) const noexcept {
  const HookScope scope;
  const int result = call_.real();
  if (result != success || device < 0 || device >= most_devices) return result;
  const std::uint64_t bit = std::uint64_t{1} << device;
  if ((g_primaries.fetch_or(bit) & bit) == 0) record_context(static_cast<std::int16_t>(device), 0, call_.start);
  return result;
}

int Special::device_reset() const noexcept {
  const HookScope scope;
  const std::int16_t device = device_for(Kind::device);
  const std::uint64_t primary = primary_of(device);
  const Death death;
  const int result = call_.real();
  if (result == success && scope.outermost()) {
    sweep_primary(death, device, primary);
    note_reset(device);
  }
  return result;
}

int Special::primary_reset(int device) const noexcept {
  const HookScope scope;
  const std::uint64_t primary = primary_of(static_cast<std::int16_t>(device));
  const Death death;
  const int result = call_.real();
  if (result == success && scope.outermost()) {
    sweep_primary(death, static_cast<std::int16_t>(device), primary);
    note_reset(device);
  }
  return result;
}

// Only the last release destroys the context: the driver is asked afterwards whether it still is active.
int Special::primary_release(int device) const noexcept {
  const HookScope scope;
  const std::uint64_t primary = primary_of(static_cast<std::int16_t>(device));
  const Death death;
  const int result = call_.real();
  if (result == success && scope.outermost() && !primary_active(device)) {
    sweep_primary(death, static_cast<std::int16_t>(device), primary);
    note_primary_end(device);
  }
  return result;
}

// A green context holds a reference on its device's primary context.
int Special::green_destroy() const noexcept {
  const HookScope scope;
  const std::int16_t device = current_device();
  const std::uint64_t primary = device < 0 ? 0 : primary_of(device);
  const Death death;
  const int result = call_.real();
  if (result == success && scope.outermost() && device >= 0 && !primary_active(device)) {
    sweep_primary(death, device, primary);
    note_primary_end(device);
  }
  return result;
}

}  // namespace vramtrack::hooks
